"""The MCP server of a run: five tools over stdio, their schemas made from the command classes."""

from __future__ import annotations

import json
from typing import Annotated, Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BeforeValidator, Field

from interactive.client import ClientError
from interactive.commands import COMMAND, Command
from interactive.mcp.desk import UNTRUSTED, RunDesk, UnknownProposal

JOB_POLL_S = 0.2
INSTRUCTIONS = (
    "You steer a training run. observe first; propose a change and read the policy's verdict;"
    " dry_run it on a fork; commit it; why explains what happened. Refusals carry a code and a"
    f" hint. {UNTRUSTED}"
)
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
CHANGES = ToolAnnotations(read_only_hint=False, idempotent_hint=True, open_world_hint=False)


def _parsed(said: Any) -> Any:
    # The commands are strict, and strict JSON is not strict Python: a list is no tuple there.
    return COMMAND.validate_json(json.dumps(said)) if isinstance(said, dict) else said


Said = Annotated[Command, BeforeValidator(_parsed)]
Reason = Annotated[str, Field(min_length=1, max_length=2000)]


def create_mcp_server(desk: RunDesk, name: str) -> MCPServer:
    """Return the server; ``desk`` does the work.

    Args:
        desk: acts on the run.
        name: the run's, for the client's list of servers.
    """
    server = MCPServer(name, instructions=INSTRUCTIONS)
    _add_looking(server, desk)
    _add_acting(server, desk)
    return server


def _add_looking(server: MCPServer, desk: RunDesk) -> None:
    @server.tool(annotations=READS, structured_output=False)
    def observe(
        interventions: Annotated[int, Field(ge=1, le=100)] = 10,
        fields: Annotated[list[str], Field(max_length=8)] = ["loss", "lr"],  # noqa: B006
    ) -> str:
        """Show where the run stands, its curves, what it offers, and what was done to it."""
        return _told(lambda: desk.observe(interventions, fields))

    @server.tool(annotations=READS, structured_output=False)
    def why(
        step: Annotated[int | None, Field(ge=1)] = None,
        command_id: str | None = None,
        span: Annotated[int, Field(ge=0, le=200)] = 5,
    ) -> str:
        """Explain a step or a command: who did what, why, and the loss before and after."""
        return _told(lambda: desk.why(step, command_id, span))


def _add_acting(server: MCPServer, desk: RunDesk) -> None:
    @server.tool(annotations=READS, structured_output=False)
    def propose(command: Said, reason: Reason) -> str:
        """Put a command down without sending it; says what the policy would answer now."""
        return _told(lambda: desk.propose(command, reason))

    @server.tool(annotations=READS, structured_output=False)
    async def dry_run(
        ctx: Context[Any, Any],
        proposal: str,
        steps: Annotated[int, Field(ge=1, le=1000)] = 20,
    ) -> str:
        """Try a proposal on a short fork beside the run: the loss with it and without it."""
        thread = anyio.to_thread.run_sync
        job = await thread(_asked, lambda: desk.start_dry_run(proposal, steps))
        job_id = job["job_id"]
        while job["state"] in ("queued", "running"):
            await anyio.sleep(JOB_POLL_S)
            job = await thread(_asked, lambda: desk.job(job_id))
            progress = job["progress"]
            await ctx.report_progress(progress["done"], progress["total"], job["state"])
        return json.dumps({key: job.get(key) for key in ("state", "result", "error")})

    @server.tool(annotations=CHANGES, structured_output=False)
    def commit(
        proposal: str,
        at_step: Annotated[int | None, Field(ge=1)] = None,
        even_if_steered: bool = False,
        wait_s: Annotated[float, Field(ge=0, le=60)] = 30.0,
    ) -> str:
        """Send a proposal and wait for its outcome; refused if others have steered since.

        Sending the same proposal again sends nothing twice: it asks what became of it.
        """
        return _told(lambda: desk.commit(proposal, at_step, even_if_steered, wait_s))


def _told(ask: Any) -> str:
    return json.dumps(_asked(ask))


def _asked(ask: Any) -> Any:
    try:
        return ask()
    except (ClientError, UnknownProposal) as error:
        raise ToolError(str(error)) from error
