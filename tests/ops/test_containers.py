"""What can be said of the containers without an engine: the files are valid and agree with the program."""

import os
import re
import shutil
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from app.api.dataset import MAX_BODY_BYTES
from app.cli import app as commands
from app.settings import ENV_PREFIX, Settings
from app.web.dataset_pages import MAX_UPLOAD_BYTES

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROXY = (ROOT / "deploy/nginx.conf").read_text(encoding="utf-8")
SAID = {"POSTGRES_PASSWORD": "letters1and2digits", "PUBLIC_HOST": "fit.example.com"}


def interpolated(text: str) -> str:
    """``${NAME}`` and ``${NAME:?message}`` as compose fills them in."""
    return re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: SAID[found[1]], text)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(interpolated(text))
    return read


def replicas(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if "build" in service}


def test_compose_follows_its_specification() -> None:
    """The schema of compose-spec, as check-jsonschema carries it."""
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    checked = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_its_environment_is_settings_and_starts_safe(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields} | {"DATABASE_URL", "HOST", "PORT"}
    for service in replicas(compose).values():
        assert set(service["environment"]) <= known
        for name, value in service["environment"].items():
            assert isinstance(value, str), f"{name} must be quoted"
            monkeypatch.setenv(name, value)
        settings = Settings(_env_file=None)
        assert settings.database_url.endswith(f":{SAID['POSTGRES_PASSWORD']}@database/vram_fit")
        assert settings.trusted_hosts == (SAID["PUBLIC_HOST"],)
        assert settings.rate_limit_storage == "redis://rates:6379/0"


def test_a_replica_drains_before_it_is_killed(compose: dict[str, Any]) -> None:
    for service in replicas(compose).values():
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert grace > int(service["environment"]["VRAM_FIT_DRAIN_SECONDS"])


def test_only_the_proxy_is_reachable_and_only_its_network_is_believed(compose: dict[str, Any]) -> None:
    published = [name for name, service in compose["services"].items() if "ports" in service]
    assert published == ["proxy"]
    (network,) = compose["networks"]["default"]["ipam"]["config"]
    for service in replicas(compose).values():
        assert service["environment"]["VRAM_FIT_TRUSTED_PROXIES"] == network["subnet"]
        assert ip_network(network["subnet"]).is_private


def test_what_is_depended_on_exists_and_says_when_it_is_healthy(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed] or (
                    "build" in services[needed] and "HEALTHCHECK" in DOCKERFILE
                )
    volumes = [word.partition(":")[0] for service in services.values() for word in service.get("volumes", [])]
    assert all(Path(ROOT, word).exists() if word.startswith(".") else word in compose["volumes"] for word in volumes)


def test_replicas_run_with_few_rights(compose: dict[str, Any]) -> None:
    assert re.search(r"^USER (?!root)\w+", DOCKERFILE, re.MULTILINE)
    for service in replicas(compose).values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        # The multi-process metrics and uploads need somewhere to write.
        assert "/tmp" in service["tmpfs"]


def test_the_image_copies_what_exists_and_starts_what_the_program_has() -> None:
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, _target = line.split()
        assert all(Path(ROOT, source).exists() for source in sources), line
    (command,) = re.findall(r'^CMD \["sh", "-c", "(.+)"\]$', DOCKERFILE, re.MULTILINE)
    for call in command.split(" && "):
        words = call.removeprefix("exec ").split()
        assert words[0] == "vram-fit"
        shown = CliRunner().invoke(commands, [*words[1:], "--help"])
        assert shown.exit_code == 0, shown.output


def test_only_what_is_named_goes_into_the_image_and_it_is_enough(tmp_path: Path) -> None:
    first, *rest = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert first == "*"
    allowed = [word.removeprefix("!") for word in rest if word.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        assert all(source == "." or source in allowed for source in line.split()[:-1]), line
    for name in allowed:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path)
    url = f"sqlite:///{tmp_path / 'data.db'}"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "DATABASE_URL": url}
    for words in (["migrate"], ["catalogue", "load"]):
        call = [
            sys.executable,
            "-c",
            "import app, app.main; from app.cli import main; print(app.__file__); main()",
            *words,
        ]
        done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(tmp_path))


def test_the_proxy_s_file_is_valid(tmp_path: Path) -> None:
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    server = re.sub(r"app-\d:8000", "127.0.0.1:8000", PROXY).replace("/var/cache/nginx", str(tmp_path / "cache"))
    config = tmp_path / "nginx.conf"
    config.write_text(f"pid {tmp_path}/pid; events {{}} http {{ {server} }}", encoding="utf-8")
    words = [program, "-t", "-p", str(tmp_path), "-c", str(config), "-e", "stderr"]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_proxy_lets_through_what_the_service_takes() -> None:
    limits = {
        name: int(size) for name, size in re.findall(r"location ~ (\S+) \{\s+client_max_body_size (\d+)m;", PROXY)
    }
    assert {name: size * 1024 * 1024 for name, size in limits.items()} == {
        "^/([a-z][a-z]/)?dataset$": MAX_UPLOAD_BYTES,
        "^/(admin|api/v1/admin)(/|$)": Settings.model_fields["max_upload_bytes"].default,
    }
    assert Settings.model_fields["max_body_bytes"].default <= MAX_BODY_BYTES <= 1024 * 1024
    assert "client_max_body_size 1m;" in PROXY


def test_the_proxy_knows_every_replica(compose: dict[str, Any]) -> None:
    port = re.findall(r"\bPORT=(\d+)", DOCKERFILE)
    assert re.findall(r"server ([\w-]+):(\d+)", PROXY) == [(name, port[0]) for name in replicas(compose)]
