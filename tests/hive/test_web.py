"""The web panel of a hive: agents of other machines beside those of this one, and a database that goes away."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hyperhive_cli.harness.inbox_operations import MESSAGE_CHANGES
from hyperhive_cli.harness.schedule_operations import SCHEDULE_CHANGES
from hyperhive_cli.web.api import CHANGE_ROUTES
from tests.conftest import wait_until
from tests.harness import TEXT, Hive, gated
from tests.hive.conftest import Database
from tests.hive.machines import Machine
from tests.web.page.browser import open_browser, open_window
from tests.web.site import Site, open_site
from tests.web.test_operations import fields_of


@contextmanager
def panel(machine: Machine, *names: str) -> Iterator[Site]:
    words = ["web", "--bind", "127.0.0.1:0", "--json", *names]
    assert machine.forkserver is not None
    with open_site(machine.forkserver, words, machine.environment(), machine.folder) as site:
        yield site


def agents(site: Site) -> dict[str, dict[str, object]]:
    return {one["agent"]: one for one in site.get("/api/agents")}


def check_pages(site: Site, first: int) -> None:
    """Check the pages before, a turn and one event, as those of an agent of this machine."""
    opened = site.get("/agents/bee/api/open?view=rows&limit=2")
    assert ([event["seq"] for event in opened["events"]], opened["oldest"]) == (
        [opened["last"] - 1, opened["last"]],
        1,
    )
    assert (opened["state"]["agent"], opened["trouble"]) == ("bee", None)
    before = site.get(f"/agents/bee/api/events?view=rows&before={first + 1}&limit=1")["events"]
    (one,) = ({**event, "facts": {}} for event in before)  # those of a page say the activity again
    assert one == site.get(f"/agents/bee/api/events/{first}?view=rows") | {"facts": {}}
    turn = site.get("/agents/bee/api/events?turn=1&limit=1")
    assert (turn["events"][0]["kind"], turn["turn"]["is_whole"]) == ("turn_start", True)


def check_inbox_is_pushed(site: Site, machine: Machine) -> None:
    """Check that the stream tells what a command on another machine puts into the inbox."""
    with site.stream("agents=bee&view=rows") as stream:
        assert [stream.named(name).data["agent"] for name in ("snapshot", "inbox")] == ["bee", "bee"]
        machine.send("bee", "from a shell", "--at", "+1h")
        told = stream.next()
        while told.event != "inbox":
            told = stream.next()
        assert [message["body"] for message in told.data["messages"]] == ["from a shell"]


def test_an_agent_of_another_machine_is_seen_and_sent_to_and_not_steered(database: Database) -> None:
    with (
        database.machines("a", "b", runs=TEXT) as (a, b),
        a.run("ant"),
        b.run("bee") as bee,
        panel(a) as site,
    ):
        a.await_owner("ant")
        b.await_owner("bee")
        wait_until(lambda: agents(site).keys() == {"ant", "bee"} and agents(site)["bee"]["running"])
        found = agents(site)
        assert found["ant"]["hive"] is None
        told = found["bee"]["hive"]
        assert isinstance(told, dict)
        assert (told["machine"], told["report_age_s"] >= 0) == ("b", True)
        known = site.get("/api/hive")
        assert known == {"url": database.url, "trouble": None, "age_s": known["age_s"]}

        with site.stream(path="/agents/bee/api/stream") as stream:
            snapshot = stream.named("snapshot").data
            can = [name for name, able in snapshot["capabilities"].items() if able]
            assert (snapshot["running"], can) == (True, ["send", "inbox"])
            sent = site.ask("POST", "/agents/bee/api/messages", {"Content-Type": "application/json"},
                            b'{"body": "hello", "key": "k", "from": "me"}')  # fmt: skip
            assert (sent.status, sent.json()["id"]) == (200, 1)
            seen = [stream.next().data]
            while seen[-1]["kind"] != "turn_end":
                seen.append(stream.next().data)
            assert seen[-1]["outcome"] == "ok"
            # The outcome goes to the hive's inbox after the event that tells of it.
            wait_until(lambda: site.get("/agents/bee/api/inbox")["messages"] == [])
        first = snapshot["seq"] + 1
        assert [event["seq"] for event in seen] == list(range(first, first + len(seen)))
        bee.wait_for_kind("turn_end", ok=True)

        page = site.get(f"/agents/bee/api/events?since={first - 1}&limit=2")
        assert ([event["seq"] for event in page["events"]], page["last"]) == ([first, first + 1], first + 1)
        assert (page["oldest"], page["reset"]) == (1, False)
        check_pages(site, first)
        newest = site.get("/agents/bee/api/events?limit=1")["events"]
        assert site.get("/agents/bee/api/state")["seq"] <= newest[0]["seq"]
        assert site.get("/agents/bee/api/events?since=99999")["reset"] is True
        assert [one["sender"] for one in site.get("/agents/bee/api/inbox?all=1")["messages"]] == ["me"]
        wait_until(lambda: site.get("/agents/bee/api/stats?by=model")["total"]["turns"] == 1)
        assert site.get("/agents/bee/api/turns/last") == site.get("/agents/bee/api/turns/1")
        assert [turn["outcome"] for turn in site.get("/agents/bee/api/turns")["turns"]] == ["ok"]
        assert site.ask("GET", f"/agents/bee/api/turns/{10**17}").status == 404
        assert site.ask("GET", "/agents/wasp/api/state").status == 404
        for change in CHANGE_ROUTES:
            if change.op not in {"send", *MESSAGE_CHANGES, *SCHEDULE_CHANGES}:
                fields = fields_of(change)
                refused = site.post(f"/agents/bee{change.path.replace('{id}', '1')}", **fields)
                assert (refused.status, "runs on b" in refused.json()["error"]) == (409, True), change.path
        assert site.post("/agents/bee/api/schedules", expression="@daily", body="audit").status == 200
        later = site.post("/agents/bee/api/messages", body="later", at="+2h").json()["id"]
        assert site.post(f"/agents/bee/api/inbox/{later}/edit", body="never").json()["message"]["body"] == "never"
        for verb, state in (("cancel", "cancelled"), ("restore", "ready"), ("move", "ready"), ("cancel", "cancelled")):
            assert site.post(f"/agents/bee/api/inbox/{later}/{verb}").json()["message"]["state"] == state
        assert site.post("/agents/bee/api/messages", body="x", at="yesterday").status == 400
        assert site.post("/agents/bee/api/messages", body="other", key="k").status == 409
        check_inbox_is_pushed(site, b)
    assert database.rows("SELECT body, state FROM hyperhive.inbox") == [
        ("hello", "done"),
        ("never", "cancelled"),
        ("from a shell", "ready"),
    ]


@pytest.mark.exhaustive
def test_an_agent_that_moves_is_where_it_runs_and_patterns_choose(database: Database) -> None:
    """It has a folder on both machines; one of the same name that is in no hive stays this machine's."""
    with database.machines("a", "b", runs=TEXT) as (a, b), a.run("bee"), panel(a) as site:
        a.await_owner("bee")
        with b.run("bee"), b.run("cow"), panel(a, "c*", "cow") as some:
            assert a.call("cow", "send", "mine alone", HYPERHIVE_HIVE="").status == 0
            b.await_owner("cow")
            assert agents(site)["bee"]["hive"] is None
            assert a.call("elsewhere", "agents", "move", "bee", "b").status == 0
            b.await_owner("bee")
            wait_until(lambda: agents(site)["bee"]["hive"])
            assert site.post("/agents/bee/api/pause").status == 409
            assert {name: one["hive"] for name, one in agents(some).items()} == {"cow": None}
            assert [one["body"] for one in some.get("/api/inbox")["messages"]] == ["mine alone"]


@pytest.mark.exhaustive
def test_the_page_shows_the_hive_and_says_when_it_is_away(mortal: Database) -> None:
    with (
        open_browser() as browser,
        mortal.machines("a", "b", runs=gated()) as (a, b),
        a.run("ant") as ant,
        b.run("bee") as bee,
        panel(a) as site,
    ):
        hive = Hive(a.workspace("ant"), a.state_dir("ant"), a.fake.path, a.environment())
        a.await_owner("ant")
        b.await_owner("bee")
        a.send("bee", "look at the nightly build")
        bee.wait_for_kind("turn_start")
        with open_window(browser, hive, f"{site.url}#token={site.token}") as window:
            window.expected = ("status of 409",)
            window.wait_text(".ag-row", "Thinking")
            assert window.page.locator(".ag-row .name").all_inner_texts() == ["bee", "ant"]  # what runs is first
            assert [" on b" in row for row in window.page.locator(".ag-row .who").all_inner_texts()] == [True, False]
            assert window.axe() == []
            window.page.get_by_role("link", name="bee").click()
            window.wait_live()
            window.wait_text(".machine", "On b")
            window.wait_text(".feed", "look at the nightly build")
            controls = ".pause-b, .now button"
            assert window.page.locator(controls).locator("visible=true").count() == 0
            window.say("and again")
            window.wait_text(".inbox li", "and again")
            window.say("/pause")
            window.wait_text(".reply", "runs on b and can only be controlled there")
            b.fake.touch("go on")
            window.wait_text(".feed", "Hello! I am ready.")
            assert window.axe() == []
            window.page.get_by_role("link", name="All agents").click()
            window.wait_text(".ag-row", "bee")
            mortal.server.kill()
            window.wait_text(".banner", "Agents of other machines are as of ")
            assert sorted(window.page.locator(".ag-row .name").all_inner_texts()) == ["ant", "bee"]
            assert site.post("/agents/bee/api/messages", body="no one hears it").status == 503
            assert site.post("/agents/ant/api/pause").status == 200
            window.wait_text(".ag-row", "Paused")
            mortal.server.start()
            window.page.locator(".banner").wait_for(state="hidden")
        assert ant.process.poll() is None
