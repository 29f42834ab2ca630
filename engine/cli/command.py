"""The arguments of `millpond`, and its exit codes."""

from __future__ import annotations

import argparse
import io
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from engine import __version__
from engine.deployment import STACK_NAME
from engine.deployment.images import BUILDERS, PLATFORMS

MAX_STACK_NAME = 55
"""Lambda quota: a function's name has at most 64 characters; the longest suffix is `-producer`."""


def main(arguments: Sequence[str] | None = None, *, poll_seconds: float | None = None) -> int:
    """Run one command with `arguments` (None: those of the process); return the exit code.

    `poll_seconds`: time between two requests for a stack's progress (None: the default).
    """
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal's encoding lacks must not cause a failure.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    options = _options(arguments)
    # `kill` and a CI job that ends clean up as Ctrl-C does.
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        # Imported here because the AWS libraries take a second to load, which --help need not wait for.
        from engine.cli.run import run

        return run(options, poll_seconds)
    except KeyboardInterrupt:
        print(f"\n  {_interrupted(options)}", file=sys.stderr)
        return 130


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    root = parser()
    options, others = root.parse_known_args(arguments)
    if others and options.command == "ingest" and not any(each.startswith("-") for each in others):
        root.error(f"ingest takes one file at a time: run it once for each of {', '.join([options.source, *others])}")
    if others:
        root.error(f"unrecognized arguments: {' '.join(others)}")
    return options


def _interrupted(options: argparse.Namespace) -> str:
    # Other stacks keep running.
    if options.command == "local" or (options.command == "demo" and options.endpoint_url is None):
        return "Interrupted; everything is shut down."
    if options.command in ("deploy", "destroy"):
        return "Interrupted: CloudFormation continues what it has begun; run the same command again to see the result."
    if options.command in ("check", "verify", "rejects"):
        return "Interrupted; nothing has changed."
    if options.command == "undo":
        return "Interrupted: run the same command again to go on; what is deleted is noted."
    if options.command == "images":
        return "Interrupted: not all images are built."
    if options.command == "base-image":
        return "Interrupted: the base image is unchanged."
    if options.command == "dlq":
        return "Interrupted: messages that were not sent back are in their queues."
    if options.command in ("logs", "status"):
        return "Interrupted."
    return "Interrupted: following has stopped; the ingestion of an uploaded file continues."


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # Shells start background jobs with SIGINT ignored, and the signal below would have no effect.
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    root = argparse.ArgumentParser(
        prog="millpond",
        description="Load CSV files from S3 into DynamoDB: every row once, fast, and accounted for.",
        epilog="Exit codes: 0 done, 1 rows not accounted for, 2 a mistake in command or settings, 3 done with rejects, "
        "130 interrupted.",
    )
    root.add_argument("--version", action="version", version=f"millpond {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="show the whole system at work, then shut it down",
        description="Start a local AWS, deploy, load the schema's example and then a generated file with some broken "
        "rows, and show what came of them. Nothing is left behind.",
    )
    _schema(demo, "another schema, whose rows are made up (default: the packaged one, or that of the deployed stack)")
    demo.add_argument(
        "--rows", type=_count, default=50_000, metavar="N", help="rows of the generated file (default: 50,000)"
    )
    demo.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the generated file")
    _target(demo, "use the stack deployed at URL instead of a local AWS of its own; its data stays there")

    local = commands.add_parser(
        "local",
        help="run the whole system on this machine until Ctrl-C",
        description="Start a local AWS, deploy, print the URLs and commands to try, and keep running until Ctrl-C.",
    )
    _schema(local, "schema file of the files to load (default: the packaged users schema)")
    local.add_argument("--port", type=_port, metavar="N", help="port of the local AWS (default: a free one)")

    check = commands.add_parser(
        "check",
        help="say what files would load, reject and cost, before anything is sent",
        description="Read files by the engine's own code and say, before anything is uploaded: how many rows are "
        "valid, why others would be rejected, with the first of them, and what the load would use, take and cost.",
        epilog="Exit codes: 0 all rows are valid, 2 a file would be refused, 3 some rows would be rejected.",
    )
    check.add_argument("sources", nargs="+", metavar="FILE|s3://BUCKET/KEY", help="files of data, here or in S3")
    _schema(check, "schema file of the files (default: the packaged users schema)")
    check.add_argument("--endpoint-url", type=_url, metavar="URL", help="where S3 is (default: AWS)")
    check.add_argument("--region", metavar="NAME", help="AWS region (default: the configured one)")
    _json(check, "print JSON")

    ingest = commands.add_parser(
        "ingest",
        help="load a file through a deployed stack",
        description="Upload FILE to where the stack takes files from, and follow it until each row is in the table or "
        "among the rejects. For the s3:// address of an object, the producer reads it again where it is.",
    )
    ingest.add_argument("source", metavar="FILE|s3://BUCKET/KEY", help="a file of data, here or in S3")
    ingest.add_argument(
        "--timeout",
        type=_count,
        metavar="SECONDS",
        help="stop following when nothing has changed for this long (default: 300; with --endpoint-url 60)",
    )
    ingest.add_argument(
        "--corrects", metavar="ID|KEY", help="the ingestion that FILE corrects (default: as its name says)"
    )
    _schema(ingest, "the stack's schema file (default: the stack is asked)")

    status = commands.add_parser(
        "status",
        help="show what became of the files",
        description="List the newest ingestions: what is running, what is done, what is stuck. With ID or KEY, show "
        "one in detail, and where its rows are stuck.",
    )
    status.add_argument("name", nargs="?", metavar="ID|KEY", help="an ingestion's id, or the key or name of a file")
    status.add_argument("--limit", type=_count, default=20, metavar="N", help="ingestions to list (default: 20)")
    _ledger(status, "print JSON: a list, or one object with ID or KEY")

    watch = commands.add_parser(
        "watch",
        help="show the progress of running ingestions until they end",
        description="Show the progress of all running ingestions, no matter who started them, or of one, until none is "
        "running any more.",
    )
    watch.add_argument("name", nargs="?", metavar="ID|KEY", help="an ingestion's id, or the key or name of a file")
    _ledger(watch, "print JSON: one line each time that an ingestion has changed")

    schema = commands.add_parser(
        "schema",
        help="propose a schema for a file",
        description="Read the first rows of FILE and print a schema for it, with comments: its format, the type of "
        "each column, texts that mean no value, and what can be the key. Redirect it to a file, read it, and use it "
        "with --schema.",
    )
    schema.add_argument("file", type=Path, metavar="FILE", help="a file like those that will be loaded")
    schema.add_argument(
        "--rows", type=_count, default=100_000, metavar="N", help="rows to look at (default: the first 100,000)"
    )
    schema.add_argument(
        "--encoding", metavar="NAME", help="the file's encoding, such as cp1252 (default: UTF-8, or as its mark says)"
    )
    schema.add_argument(
        "--no-header", dest="header", action="store_false", help="the first line of a CSV file is data, not a header"
    )

    _dlq(commands.add_parser("dlq", help="look at messages that failed every attempt, and send them back"))

    logs = commands.add_parser(
        "logs",
        help="show the log lines of all functions, by time",
        description="Show what producer, worker and query function have logged, merged by time.",
    )
    logs.add_argument(
        "text", nargs="?", metavar="ID", help="only lines with this text, such as an ingestion's id or an object's key"
    )
    logs.add_argument("--follow", action="store_true", help="go on with new lines until Ctrl-C")
    logs.add_argument("--hours", type=_count, default=1, metavar="N", help="how far to look back (default: 1)")
    _json(logs, "each line as the JSON that the function logged, with `time`, `function` and `level` added")
    _target(logs, "where the stack is (default: AWS)")

    images = commands.add_parser(
        "images",
        help="build the three container images",
        description="Build the images of producer, worker and query function from their Dockerfiles.",
    )
    _schema(images, "schema file to put into them as /opt/millpond/schema.toml (default: the packaged schema)")
    _building(images)

    base_image = commands.add_parser(
        "base-image",
        help="pin the base image to the newest digest of its tag",
        description="Look up the digest that the base image's tag has now, and record it in deploy/image/base.txt, "
        "which all builds use. Images built before stay as they are.",
    )
    _builder(base_image)

    deploy = commands.add_parser(
        "deploy",
        help="build, push and deploy into an AWS account",
        description="Create the image repositories, build and push the images that they lack, and deploy the template "
        "by a change set. What is up to date is left alone: a second run changes nothing.",
    )
    _target(deploy, "an endpoint that answers like AWS (default: AWS)", name=_stack_name)
    _building(deploy)
    _schema(deploy, "schema file of the stack (default: that of the deployed stack, or else the packaged one)")
    deploy.add_argument("--plan", action="store_true", help="show what would change, and stop; builds nothing")
    deploy.add_argument("--yes", action="store_true", help="do not ask before a table, bucket or queue is replaced")
    deploy.add_argument(
        "--parameter",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="a parameter of deploy/template.yaml; one that is left out keeps its value",
    )
    deploy.add_argument(
        "--tag", action="append", default=[], type=_setting, metavar="NAME=VALUE", help="a tag for all resources"
    )

    _about_one(commands)

    template = commands.add_parser(
        "template",
        help="write out the CloudFormation template",
        description="Write deploy/template.yaml to standard output, with defaults that fit the schema. It needs the "
        "images of `millpond images --schema FILE` in repositories of your own.",
    )
    _schema(template, "schema file of the stack (default: the packaged schema)")

    destroy = commands.add_parser(
        "destroy",
        help="delete a deployed stack; its bucket and table are kept by default",
        description="Delete the stack and its images. The bucket and the table are kept, with their content.",
    )
    _target(destroy, "an endpoint that answers like AWS (default: AWS)", name=_stack_name)
    destroy.add_argument(
        "--delete-data", action="store_true", help="delete the stack's own bucket and table too, permanently"
    )
    destroy.add_argument("--yes", action="store_true", help="do not ask")
    _target(ingest, "where the stack is, such as the endpoint that `millpond local` prints (default: AWS)")
    return root


def _dlq(dlq: argparse.ArgumentParser) -> None:
    actions = dlq.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser(
        "list",
        help="list the messages",
        description="List the messages of the dead-letter queue and the failure queue: why each is there as far as can "
        "be told, and which rows wait for it. They stay where they are.",
    )
    listing.add_argument(
        "--limit", type=_count, default=1_000, metavar="N", help="messages of each queue at most (default: 1,000)"
    )
    show = actions.add_parser("show", help="show one message", description="Show what is known of one message.")
    show.add_argument("id", metavar="ID", help="a message's id, as `list` prints it")
    show.add_argument("--body", action="store_true", help="show the body too, which holds rows")
    redrive = actions.add_parser(
        "redrive",
        help="send messages back to where they came from",
        description="Send messages back to where they came from: to the queue of the worker, or to the producer. "
        "Each is deleted here after it was accepted there.",
    )
    which = redrive.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", default=[], metavar="ID", help="messages by their ids")
    which.add_argument("--all", action="store_true", help="all messages")
    redrive.add_argument("--rate", type=_count, metavar="N", help="messages a second at most (default: without limit)")
    for action in (listing, show):
        _schema(action, "the stack's schema file (default: the stack is asked)")
    for action in (listing, show, redrive):
        _json(action, "as JSON")
        _target(action, "where the stack is (default: AWS)")


def _json(parser: argparse.ArgumentParser, help_: str) -> None:
    parser.add_argument("--json", action="store_true", help=help_)


def _target(parser: argparse.ArgumentParser, endpoint_help: str, name: Callable[[str], str] = str) -> None:
    parser.add_argument(
        "--stack", type=name, default=STACK_NAME, metavar="NAME", help=f"name of the stack ({STACK_NAME})"
    )
    parser.add_argument("--endpoint-url", type=_url, metavar="URL", help=endpoint_help)
    parser.add_argument("--region", metavar="NAME", help="AWS region (default: the configured one)")


def _ledger(parser: argparse.ArgumentParser, json_help: str) -> None:
    parser.add_argument("--json", action="store_true", help=json_help)
    _target(parser, "where the stack is, such as the endpoint that `millpond local` prints (default: AWS)")


def _schema(parser: argparse.ArgumentParser, help_: str) -> None:
    parser.add_argument("--schema", type=Path, metavar="FILE", help=help_)


def _builder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--builder", choices=BUILDERS, help="builder of the images (default: the first one installed)")


def _building(parser: argparse.ArgumentParser) -> None:
    _builder(parser)
    parser.add_argument(
        "--architecture", choices=PLATFORMS, help="default: that of the deployed stack, or else of this machine"
    )
    parser.add_argument(
        "--base-image", metavar="NAME", help="Python 3.13 to build on (default: that of deploy/image/base.txt)"
    )
    parser.add_argument("options", nargs="*", metavar="OPTION", help="more options for the builder, after --")


def _about_one(commands: Any) -> None:
    """Add the commands about one ingestion."""
    verify = commands.add_parser(
        "verify",
        help="compare the table with the object of an ingestion, row by row",
        description="Read the object of an ingestion again, make the items that its rows become, and look each of them "
        "up by its key: is it in the table, with the same attributes? Nothing is scanned and nothing is changed.",
    )
    verify.add_argument(
        "--sample", type=_count, metavar="N", help="compare only N rows, evenly spread over the file (default: all)"
    )
    rejects = commands.add_parser(
        "rejects",
        help="show why rows were rejected, and write them to a file to correct",
        description="Show the reasons for which rows of an ingestion were rejected, with the first row of each. With "
        "--out, write all of them to a file as they are in the object, under its header: correct it and ingest it.",
    )
    rejects.add_argument(
        "--out", type=Path, metavar="FILE", help="a new file for the rejected rows, or a folder for it"
    )
    undo = commands.add_parser(
        "undo",
        help="delete the items that an ingestion wrote",
        description="Delete exactly the items that an ingestion wrote and nothing has replaced since, each on that "
        "condition. The object is read again to know them; it stays where it is.",
    )
    undo.add_argument("--yes", action="store_true", help="do not count the items first, and do not ask")
    for each in (verify, rejects, undo):
        each.add_argument("ingestion", metavar="ID|KEY", help="an ingestion's id, or its object's key or file name")
        each.add_argument("--json", action="store_true", help="print JSON, and everything else on standard error")
        _schema(each, "the schema file that the object was read by (default: the stack is asked)")
        _target(each, "where the stack is, such as the endpoint that `millpond local` prints (default: AWS)")


def _stack_name(text: str) -> str:
    # Repositories have the same name, and ECR does not allow consecutive dashes.
    if text.lower().endswith("-images"):
        raise argparse.ArgumentTypeError(f"{text!r} is reserved for the images of the stack {text[:-7]!r}")
    if not re.fullmatch(r"[A-Za-z](-?[A-Za-z0-9])*", text) or len(text) > MAX_STACK_NAME:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a valid stack name: up to {MAX_STACK_NAME} letters, digits and single dashes, "
            "beginning with a letter"
        )
    return text


def _setting(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not name or not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _count(text: str) -> int:
    digits = text.replace(",", "").replace("_", "")
    if not (digits.isascii() and digits.isdigit() and int(digits) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(digits)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1024 <= int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1024 to 65535")
    return int(text)


def _url(text: str) -> str:
    # Imported here for the same reason as above: the module loads the AWS libraries.
    from engine.cli.target import is_endpoint

    if not is_endpoint(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL such as http://127.0.0.1:4566")
    return text
