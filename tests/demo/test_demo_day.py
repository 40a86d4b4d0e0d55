"""The scripted day on a real fleet with the offline models: routed, answered and acted upon as written."""

from pathlib import Path

from fleet import Fleet, Message, Settings
from fleet.demo import DAY, app
from fleet.ledger.events import AppEventRecorded, MessageDecided, ToolReturned, TurnEnded


async def test_every_message_of_the_day_is_routed_and_answered_as_written(tmp_path: Path):
    settings = Settings.load({}, home=tmp_path / "home")
    threads: list[str] = []
    async with Fleet(app, settings) as fleet:
        events = []
        fleet.on(lambda stored: events.append(stored.event))
        for number, line in enumerate(DAY):
            events.clear()
            await fleet.accept(Message(line.user, line.text, f"day-{number}"))
            reply = await fleet.reply_to(f"day-{number}")
            (decided,) = [event for event in events if isinstance(event, MessageDecided)]
            decision = decided.decision
            assert (decision.by, decision.fallback) == ("model", ""), decision.fallback_reason
            assert decision.agent == line.agent, line.text
            assert decision.new_thread == (line.continues is None), line.text
            if line.continues is not None:
                assert decision.thread_id == threads[line.continues], line.text
            threads.append(decision.thread_id)
            missing = [words for words in line.says if words.lower() not in reply.lower()]
            assert not missing, f"{line.text} → {reply}"
            assert not [event for event in events if isinstance(event, ToolReturned) and event.error], line.text
            acted = [event for event in events if isinstance(event, AppEventRecorded)]
            assert len(acted) == line.acts, line.text
            (ended,) = [event for event in events if isinstance(event, TurnEnded)]
            assert ended.result == ("need_input" if reply.endswith("?") else "success"), line.text
        await fleet.idle()
        assert not [
            fleet.ledger.pending(queue) for queue in ("inbox", "turns", "outbox") if fleet.ledger.pending(queue)
        ]


async def test_what_was_changed_is_seen_by_other_agents_and_survives_a_restart(tmp_path: Path):
    settings = Settings.load({}, home=tmp_path / "home")
    async with Fleet(app, settings) as fleet:
        for text in ("Can you swap my Thursday shift to Friday?", "yes"):
            accepted = await fleet.accept(Message("ana", text))
            reply = await fleet.reply_to(accepted.message_id)
        request = reply.split()[2].rstrip(":")
    async with Fleet(app, settings) as fleet:
        accepted = await fleet.accept(Message("ana", "What is the status of my requests?"))
        assert request in await fleet.reply_to(accepted.message_id)
        accepted = await fleet.accept(Message("ben", "What is the status of my requests?"))
        assert await fleet.reply_to(accepted.message_id) == "You have submitted no requests."
