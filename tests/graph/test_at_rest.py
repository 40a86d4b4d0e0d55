"""A graph is not committed while its file is being copied."""

from __future__ import annotations

from support.fleets import open_fleet

from fleet import Message
from fleet.graph.at_rest import at_rest


async def test_a_checkpoint_waits_for_the_copy_to_be_done(tmp_path):
    async with open_fleet(tmp_path, checkpoint_s=3600.0, checkpoint_events=1) as fleet:
        file = tmp_path / "graph" / "graph.db0"
        with at_rest(tmp_path / "graph", wait=True) as still:
            assert still
            before = file.read_bytes()
            await fleet.accept(Message("ana", "hello", "m-1"))
            assert await fleet.reply_to("m-1") == "You said: hello"  # nobody waits for the copy
            assert file.read_bytes() == before
        await fleet.accept(Message("ana", "again", "m-2"))
        await fleet.reply_to("m-2")
        fleet.checkpoint()  # by itself it waits until the file as it is has been hashed
        assert file.read_bytes() != before


def test_it_is_held_once_at_a_time_and_needs_no_home_that_can_be_written(tmp_path):
    graph = tmp_path / "graph"
    with at_rest(graph, wait=False) as first, at_rest(graph, wait=False) as second:
        assert (first, second) == (True, False)
    with at_rest(graph, wait=False) as again:
        assert again
    (tmp_path / "file").write_text("")
    with at_rest(tmp_path / "file" / "graph", wait=True) as still:
        assert still
