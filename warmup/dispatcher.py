# What one routing decision needs to know. What outsiders wrote is printed as one quoted line.
def section(title, value):
    print(f"{title}:")
    print(value)


print("Current UTC time:", now.isoformat(timespec="seconds"))
section("Incoming message", message)
section("User", message.sender)
section("Language", preferred_language_for(message.sender) or "en")

print("Available agents:")
for role, specialist in find_agents().items():
    print(f"- {role}: {specialist.description or 'No description'}")
    if specialist.capabilities:
        print("  capabilities:", "; ".join(specialist.capabilities))
    for number, title in list_agent_examples(role):
        print(f"  example_id={number}: {title}")

threads = recent_chat_threads(count=5)  # the name that an answer's threads[i] points into
print("Recent threads:")
for index, recent in enumerate(threads):
    print(f"threads[{index}]:")
    print("agent:", recent.agent)
    if recent.name:
        print("name:", recent.name)
    if recent.status:
        print("status:", recent.status)
    print("summary:", recent.summary)
    print("latest_activity:", recent.latest_activity_at)
    print("last_assistant_message:", recent.last_assistant_message)
