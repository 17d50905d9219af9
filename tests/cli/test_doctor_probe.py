"""`agentkit doctor --probe` as a person or a script uses it."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from agentkit.testing import Call, GLMServer, Raw, Say

KEY = "secret-key-0123456789"


def brain(request):
    if request.get("tools") and request["messages"][-1]["role"] == "user":
        name = request["tools"][0]["function"]["name"]
        return Say(calls=[Call(name, {"key": "a", "text": "b"}), Call(name, {"key": "c"})])
    return Say("blue", thinking="hm")


def doctor(home, script, *words, **environment):
    """Run `agentkit doctor --probe`; return code, stdout, stderr and the number of requests."""

    async def main():
        async with GLMServer(script, key=KEY) as server:
            env = {
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("ZAI", "AGENTKIT"))
            }
            env |= {"AGENTKIT_HOME": str(home), "ZAI_BASE_URL": server.base_url}
            env |= {"ZAI_API_KEY": KEY, **environment}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "agentkit.cli.main", "doctor", "--probe", *words),
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
            return process.returncode, out.decode(), err.decode(), len(server.log)

    code, out, err, requests = asyncio.run(main())
    assert KEY not in out + err
    assert "Traceback" not in err
    return code, out, err, requests


def test_the_cost_is_shown_and_nothing_is_sent_before_somebody_agrees(tmp_path):
    code, out, err, requests = doctor(tmp_path, brain)
    assert (code, out, requests) == (2, "", 0)
    assert "calls to http://127.0.0.1" in err
    assert "at most $0.0" in err
    assert "--yes" in err


def test_what_was_found_is_printed_and_written_down_for_later_runs(tmp_path):
    code, out, err, requests = doctor(tmp_path, brain, "--yes", "--json", "--pause", "0")
    assert code == 0
    assert requests > 12
    findings = {finding["name"]: finding for finding in map(json.loads, out.splitlines())}
    assert findings["tools"]["text"] == "several calls in one turn"
    (record,) = json.loads((tmp_path / "providers.json").read_text())
    assert record["dialect"]["thinking"] == "zai"
    assert any(quirk.startswith("probed 20") for quirk in record["dialect"]["quirks"])
    assert "providers.json" in err
    # A second probe starts from what is documented and takes the record's place.
    doctor(tmp_path, brain, "--yes", "--pause", "0", "--base-url", "http://127.0.0.1:9/v1")
    assert len(json.loads((tmp_path / "providers.json").read_text())) == 1


def test_a_server_without_a_tool_parser_is_told_its_flag_and_not_written_down(tmp_path):
    said = {"role": "assistant", "content": "<tool_call>look_up</tool_call>"}
    answer = Raw(
        json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": said}]}).encode(),
        content_type="application/json",
    )

    def decide(request):
        return answer if request.get("tools") else brain(request)

    code, out, err, _ = doctor(tmp_path, decide, "--yes", "--pause", "0")
    assert code == 1
    assert "--tool-call-parser glm47" in out
    assert "Nothing was written down" in err
    assert not (tmp_path / "providers.json").exists()
