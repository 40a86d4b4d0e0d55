# The facts for one routing decision. What outsiders wrote is printed as one quoted line.
user = message.sender
agents = find_agents()
threads = [thread for thread in recent_chat_threads(count=5) if thread is not None]
language = preferred_language_for(user) or "en"

print("Current UTC time:", now.isoformat(timespec="seconds"))
print("Incoming message:")
print(message)
print("User:")
print(user)
print("Language:")
print(language)

print("Available agents:")
for role, agent in agents.items():
    print(f"- {role}: {agent.description or 'No description'}")
    if agent.capabilities:
        print("  capabilities:", "; ".join(agent.capabilities))
    for example_id, example_name in list_agent_examples(role):
        print(f"  example_id={example_id}: {example_name}")

print("Recent threads:")
for i, thread in enumerate(threads):
    print(f"threads[{i}]:")
    print("agent:", thread.agent)
    if thread.name:
        print("name:", thread.name)
    if thread.status:
        print("status:", thread.status)
    print(thread.summary)
    print("latest_activity:", thread.latest_activity_at)
    print("last_assistant_message:", thread.last_assistant_message)
