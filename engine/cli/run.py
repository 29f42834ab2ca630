"""Run the command that the arguments name; turn expected errors into one line and exit code 2."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from rich.console import Console

from engine.cli.account import Target
from engine.cli.check import run_check
from engine.cli.demo import run_demo
from engine.cli.deploy import run_deploy
from engine.cli.destroy import run_destroy
from engine.cli.display import Display
from engine.cli.dlq import run_list, run_redrive, run_show
from engine.cli.errors import EXPECTED, explain
from engine.cli.images import run_base_image, run_images
from engine.cli.ingest import Place, run_ingest
from engine.cli.local import run_local
from engine.cli.logs import run_logs
from engine.cli.prepare import Wishes
from engine.cli.propose import run_schema
from engine.cli.rejects import run_rejects
from engine.cli.status import run_status
from engine.cli.target import local_defaults
from engine.cli.template import run_template
from engine.cli.undo import run_undo
from engine.cli.verify import run_verify
from engine.cli.watch import run_watch
from engine.deployment.checkout import CHECKOUT
from engine.deployment.images import own_architecture
from engine.deployment.schema_file import SchemaFile


def run(options: argparse.Namespace, poll_seconds: float | None = None) -> int:
    """Run the command of `options`; return the exit code. `poll_seconds`: see `Target`."""
    try:
        if "ingestion" in options:
            return _about_ingestion(options)
        return _dispatch(options, poll_seconds)
    except EXPECTED as error:
        print(f"millpond: {explain(error)}", file=sys.stderr)
        return 2


def _dispatch(options: argparse.Namespace, poll_seconds: float | None) -> int:
    display = Display()
    if options.command == "images":
        architecture = options.architecture or own_architecture()
        return run_images(
            display,
            CHECKOUT,
            architecture=architecture,
            base_image=options.base_image,
            builder=options.builder,
            options=options.options,
            schema=_schema(options),
        )
    if options.command == "schema":
        return run_schema(options.file, rows=options.rows, encoding=options.encoding, header=options.header)
    if options.command == "check":
        schema = _schema(options) or SchemaFile.packaged()
        with local_defaults(options.endpoint_url):
            return run_check(
                display,
                options.sources,
                schema,
                endpoint_url=options.endpoint_url,
                region=options.region,
                as_json=options.json,
            )
    if options.command == "base-image":
        return run_base_image(display, CHECKOUT, builder=options.builder)
    if options.command == "deploy":
        wishes = Wishes(
            dict(options.parameter),
            dict(options.tag),
            options.architecture,
            options.builder,
            options.base_image,
            options.options,
            _schema(options),
        )
        return run_deploy(display, _target(options, poll_seconds), wishes, plan=options.plan, agreed=options.yes)
    if options.command == "template":
        return run_template(_schema(options) or SchemaFile.packaged())
    if options.command == "destroy":
        return run_destroy(display, _target(options, poll_seconds), delete_data=options.delete_data, agreed=options.yes)
    if options.command == "local":
        return run_local(display, port=options.port, schema=_schema(options) or SchemaFile.packaged())
    # A local AWS has one user with public credentials, so none need to be configured.
    with local_defaults(options.endpoint_url):
        return _run_on_stack(options, display, _target(options, poll_seconds))


def _run_on_stack(options: argparse.Namespace, display: Display, target: Target) -> int:
    """Run a command that uses a stack as it is."""
    if options.command == "demo":
        return run_demo(
            display,
            schema=_schema(options),
            rows=options.rows,
            seed=options.seed,
            endpoint_url=options.endpoint_url,
            stack_name=options.stack,
            region=options.region,
        )
    if options.command == "status":
        return run_status(display, target, options.name, limit=options.limit, as_json=options.json)
    if options.command == "watch":
        return run_watch(display, target, options.name, as_json=options.json)
    if options.command == "dlq":
        return _dlq(display, options)
    if options.command == "logs":
        return run_logs(
            display, target, text=options.text, hours=options.hours, follow=options.follow, as_json=options.json
        )
    return run_ingest(
        display,
        options.source,
        Place(options.stack, options.endpoint_url, options.region, options.timeout, _schema(options)),
        options.corrects,
    )


def _dlq(display: Display, options: argparse.Namespace) -> int:
    place = Place(options.stack, options.endpoint_url, options.region)
    if options.action == "redrive":
        return run_redrive(display, place, options.ids, rate=options.rate, as_json=options.json)
    place = replace(place, schema=_schema(options))
    if options.action == "list":
        return run_list(display, place, limit=options.limit, as_json=options.json)
    return run_show(display, place, options.id, body=options.body, as_json=options.json)


def _about_ingestion(options: argparse.Namespace) -> int:
    """Run a command about one ingestion."""
    display = Display(Console(highlight=False, stderr=True) if options.json else None)
    place = Place(options.stack, options.endpoint_url, options.region, schema=_schema(options))
    name, as_json = options.ingestion, options.json
    with local_defaults(options.endpoint_url):
        if options.command == "verify":
            return run_verify(display, name, place, sample=options.sample, as_json=as_json)
        if options.command == "rejects":
            return run_rejects(display, name, place, out=options.out, as_json=as_json)
        return run_undo(display, name, place, agreed=options.yes, as_json=as_json)


def _schema(options: argparse.Namespace) -> SchemaFile | None:
    return None if options.schema is None else SchemaFile.read(options.schema)


def _target(options: argparse.Namespace, poll_seconds: float | None) -> Target:
    return Target(options.stack, options.region, options.endpoint_url, poll_seconds)
