"""The demo in a browser: drop an image, type words, look at the map, download it.

Only the arguments are here; the page is ovrs.browser, and the work is done by ovrs.inference. Heavy packages are imported
after the arguments have been checked.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ovrs.errors import ConfigError, OvrsError
from ovrs.inference.command_line import add_model_arguments, load_segmenter, one_line, whole_number

EXAMPLES = """examples:
  %(prog)s
      the small model; open the address that is printed
  %(prog)s --config-file mini/rs_zeroseg
      another small model
  %(prog)s --config-file configs/aeroseg/aeroseg_vitb16_saml.yaml --weights aeroseg.safetensors --device cuda
      another system, other weights
  %(prog)s --port 8080 --max-pixels 1e8 --max-names 100
      another port, larger images, more words
  %(prog)s --host 0.0.0.0
      whoever reaches this computer can use the page, without a password and unencrypted; read docs/browser.md before

Uploads and results lie in a temporary folder: those of a guest are removed when the page is closed, all of them when the
demo is stopped (Ctrl-C).

Exit status: 0 stopped, 2 a mistake in the arguments (one line on standard error says which).
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line, like demo.py's."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="Segment aerial and satellite images by words, in a browser.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    address = parser.add_argument_group("address")
    address.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="who can reach the page (default: %(default)s, this computer only)",
    )
    address.add_argument("--port", type=_port, metavar="N", help="port (default: the first free one from 7860)")
    add_model_arguments(parser)
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-pixels", type=_count, default=25_000_000, metavar="N", help="refuse larger images (default: 2.5e7)"
    )
    limits.add_argument("--max-bytes", type=_count, default=200_000_000, metavar="N", help="refuse larger files (default: 2e8)")
    limits.add_argument(
        "--max-names", type=_count, default=40, metavar="N", help="refuse longer vocabularies (default: %(default)s)"
    )
    limits.add_argument(
        "--max-waiting",
        type=_count,
        default=8,
        metavar="N",
        help="images are segmented one at a time; refuse when so many requests wait (default: %(default)s)",
    )
    limits.add_argument(
        "--max-idle",
        type=_count,
        default=3600,
        metavar="S",
        help="seconds after which the results of a page that is left open may be removed (default: %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it is stopped; returns the exit status."""
    args = build_parser().parse_args(argv)
    # A terminated server cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="ovrs-app-") as folder:
            return serve(args, Path(folder).resolve())
    except OvrsError as error:
        print(f"app.py: error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def serve(args: argparse.Namespace, folder: Path) -> int:
    """Load the model and serve the page; uploads and results stay in ``folder``.

    Raises:
        OvrsError: the model cannot be loaded, gradio is missing, or the port is taken.
    """
    # Read by gradio when it is imported.
    os.environ.update(GRADIO_TEMP_DIR=str(folder), GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
    try:
        from ovrs.browser.page import build_page, launch
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ConfigError("the page needs the package 'gradio': pip install 'ovrs[demo]'") from error
    from ovrs.browser.guests import Guests, Limits

    segmenter = load_segmenter(args)
    limits = Limits(args.max_pixels, args.max_bytes, args.max_names, args.max_idle)
    guests = Guests(segmenter, folder, folder / "results", limits)
    page = build_page(guests, f"model: {Path(args.config_file).stem}", args.max_waiting)
    try:
        launch(page, args.host, args.port, args.max_bytes)
    except OSError as error:
        raise ConfigError(f"--host {args.host}, --port {args.port}: cannot be served from: {error}") from error
    return 0


def _count(text: str) -> int:
    number = whole_number(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return number


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; they go from 1 to 65535")
    return number


if __name__ == "__main__":
    sys.exit(main())
