# ruff: noqa: F821 - the free functions are filled in by whoever runs this file
"""The application of the guide's steps 1, 2 and 6, with the import lines changed and its free functions left open.

`test_guide.py` runs this file with one set of functions after the other; the class bodies are the guide's.
"""

from fleet import Agent, DialogAgent, MessageDispatcher, PushQueue, SupervisedAgent, create_tool, db0


@db0.memo
class AppDispatcher(MessageDispatcher):
    task_agents: dict[str, Agent] = None

    def __init__(self, task_agents: dict[str, Agent]):
        self.task_agents = task_agents
        super().__init__(
            chat_history=recent_threads,
            start_new_thread=start_new_thread,
            dispatch_to=dispatch_to,
        )
        self._metadata = {"MODEL": "fast-routing-model"}
        self.update_warmup_def("user = message.sender\nprint('Incoming message:', message)\n")
        self.append_tool("find_agents")

    def init_context(self):
        if self._X__context is None:
            super().init_context()
            self._X__context["recent_chat_threads"] = recent_threads
            create_tool(
                tool_name="find_agents",
                callable=self._find_agents_impl,
                docstring="""Find available specialist agents.

                Returns:
                    dict[str, Agent]: Mapping from role name to agent object.
                    Use the role name in start_new_thread(agent=...).
                """,
                context=self._X__context,
            )

    def _find_agents_impl(self) -> dict[str, Agent]:
        return self.task_agents


@db0.memo(singleton=True)
class StatekRoot:
    def __init__(self):
        self.information_retriever = DialogAgent(
            role="information_retriever",
            send_message=send_dialog_message,
            tools=[search_documents, lookup_account_state],
        )
        self.schedule_assistant = DialogAgent(
            role="schedule_assistant",
            send_message=send_dialog_message,
            tools=[find_availability, propose_time_change, submit_request],
        )
        self.preferences_assistant = DialogAgent(
            role="preferences_assistant",
            send_message=send_dialog_message,
            tools=[read_preferences, update_preferences],
        )
        self.sounding_board = SupervisedAgent(
            role="sounding_board",
            _system_prompt=None,
            _tools=[draft_options, summarize_tradeoffs],
        )
        self.task_agents = {
            agent.role: agent
            for agent in (
                self.information_retriever,
                self.schedule_assistant,
                self.preferences_assistant,
                self.sounding_board,
            )
        }
        self.dispatcher = AppDispatcher(task_agents=self.task_agents)


root = StatekRoot()
queue = PushQueue()


def on_incoming_message(message):
    return queue.push_to_agent_queue(root.dispatcher, message)
