# The facts for one turn of any worker. What outsiders wrote is printed as one quoted line.
selected = globals().get("default_example_id")

print("Current UTC time:", now.isoformat(timespec="seconds"))
print("User:")
print(user)
print("Language:")
print(language)
print("Incoming message:")
print(message)

print("Available examples:")
examples = list_of_examples() or []
if selected is None:
    print("Selected example: none")
else:
    print("Selected example:", selected)
    show_example(selected)
for example_id, _ in examples:
    if example_id != selected:
        print(f"Example {example_id}:")
        show_example(example_id)
