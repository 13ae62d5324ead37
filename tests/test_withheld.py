"""What of the environment reaches a model: its settings do, the team's secrets only by name."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shadowserve import withheld
from shadowserve.faults import fault_of
from shadowserve.withheld import for_models, hint, is_secret, without_credentials, words_of


@pytest.mark.parametrize(
    "name",
    [
        "PATH", "PWD", "OLDPWD", "HOME", "LANG", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM",
        "TIKTOKEN_CACHE_DIR", "MAX_TOKENS", "MAX_NEW_TOKENS", "EOS_TOKEN", "TOKEN_LIMIT", "SORT_KEY",
        "PRIMARY_KEY", "CACHE_KEY", "KEYBOARD_LAYOUT", "MONKEY", "AUTHOR", "AUTHORS_FILE", "SECRETARY_NAME",
        "PASSENGER_COLUMN", "BYPASS_CACHE", "COMPASS_DIR", "MULTI_PASS", "PASSTHROUGH", "PATH_PATTERN",
        "COOKIECUTTER_DIR", "PUBLIC_KEY", "XAUTHORITY", "TOKENIZER_PATH", "sortKey", "maxTokens",
        "MLFLOW_TRACKING_INSECURE_TLS", "DSNAME", "PATIENCE",
    ],
)  # fmt: skip
def test_settings_whose_names_only_resemble_a_secrets_are_given(name):
    assert not is_secret(name, "5")


@pytest.mark.parametrize(
    "name",
    [
        "MLFLOW_TRACKING_TOKEN", "mlflow_tracking_password", "MLFLOW_TRACKING_USERNAME",
        "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS",
        "DB_PASS", "SMTP_PASS", "db-pass", "DB.PASS", "AUTH_HEADER", "HTTP_AUTHORIZATION", "SESSION_COOKIE",
        "JWT", "SERVICE_JWT", "API_KEY", "apiKey", "OpenAIApiKey", "APIKEY", "PGPASSWORD", "MYSQL_PWD",
        "PGPASSFILE", "DBPASSWORD", "GITHUB_PAT", "SENTRY_DSN", "AZURE_STORAGE_CONNECTION_STRING", "HF_TOKEN",
        "AUTH_TOKENS", "API_TOKENS", "PRIVATE_KEY", "ENCRYPTION_KEY", "REDISCLI_AUTH", "SSH_AUTH_SOCK",
        "CLIENT_SECRET", "SORT_KEY_SECRET", "MAX_TOKENS_PASSWORD", "password", "Passphrase", "KEY",
    ],
)  # fmt: skip
def test_secrets_are_told_by_whole_words_of_their_names(name):
    assert is_secret(name, "5")


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://user:pw@host:5432/db", "redis://:pw@host", "amqp://u:p%40@h",
        "host=db user=me password=hunter2", "Server=x;Pwd=abc;", "Endpoint=sb://x;SharedAccessKey=abc=",
        "-----BEGIN RSA PRIVATE KEY-----\nabc", "Bearer abcdefghij", "eyJhbGciOiJI.eyJzdWIiOiIx.abc",
        "AKIAIOSFODNN7EXAMPLE", "https://h/x?sig=abc", "https://h/x?a=1&token=abc", "api-key=abc",
        '{"password": "x"}', "ghp_" + "a" * 36,
    ],
)  # fmt: skip
def test_a_secret_value_is_withheld_whatever_it_is_called(value):
    assert is_secret("STORE", value)


@pytest.mark.parametrize(
    "value",
    [
        "postgresql://user@host/db", "http://host:8080/a@b", "a:b@c", "", "x" * 10, "token", "key",
        "https://h/x?page=1", "tokens=5", "eyJ", "basic",
    ],
)  # fmt: skip
def test_an_ordinary_value_is_given(value):
    assert not is_secret("STORE", value)


def test_words_end_where_small_letters_do():
    assert words_of("myDBPassword2_key") == ("MY", "DB", "PASSWORD2", "KEY")


def test_what_the_team_names_passes_and_nothing_else():
    environ = {"DB_PASS": "x", "DB_PASS_2": "y", "LANG": "C"}
    told = for_models(environ, passed=["DB_PASS"])
    assert told["DB_PASS"] == "x"
    assert "DB_PASS_2" not in told
    assert told[withheld.NAMES] == "DB_PASS_2"
    assert withheld.names(environ, passed=["DB_PASS"]) == ["DB_PASS_2"]


def test_mlflow_is_where_it_is_but_without_the_teams_credentials():
    environ = {
        "MLFLOW_TRACKING_URI": "http://ann:pw@old",
        "SHADOWSERVE_TRACKING_URI": "http://ann:pw@old",
    }
    told = for_models(
        environ, tracking="https://ann:pw@mlflow.example/a", registry="sqlite:///r.db"
    )
    assert told["MLFLOW_TRACKING_URI"] == "https://mlflow.example/a"
    assert told["MLFLOW_REGISTRY_URI"] == "sqlite:///r.db"
    assert "SHADOWSERVE_TRACKING_URI" not in told
    assert "pw" not in "".join(told.values())
    named = for_models(environ, passed=["MLFLOW_TRACKING_URI"], tracking="https://mlflow.example")
    assert named["MLFLOW_TRACKING_URI"] == "http://ann:pw@old"


@pytest.mark.parametrize(
    ("address", "bare"),
    [
        ("http://ann@h/x", "http://h/x"),
        ("https://h/x?token=abc&a=1", "https://h/x"),
        ("postgresql+psycopg2://u:p@h:5/db", "postgresql+psycopg2://h:5/db"),
        ("databricks", "databricks"),
        ("http://a:p/ss@h/x", "http://a:p/ss@h/x"),
    ],
)
def test_an_address_loses_user_password_and_token(address, bare):
    assert without_credentials(address) == bare


def test_tracing_is_off_unless_the_team_asks_for_it():
    assert for_models({})["MLFLOW_TRACE_SAMPLING_RATIO"] == "0"
    asked = {"MLFLOW_TRACE_SAMPLING_RATIO": "0.5"}
    assert for_models(asked)["MLFLOW_TRACE_SAMPLING_RATIO"] == "0.5"


def test_a_traced_model_leaves_nothing_where_it_runs(tmp_path):
    program = (
        "import mlflow\n"
        "from shadowserve.scorer.loading.opening import import_mlflow\n"
        "import_mlflow()\n"
        "class M(mlflow.pyfunc.PythonModel):\n"
        "    @mlflow.trace\n"
        "    def predict(self, context, model_input):\n"
        "        with mlflow.start_span('inner'): return model_input\n"
        "[M().predict(None, [1]) for _ in range(3)]\n"
        "mlflow.flush_trace_async_logging()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=for_models(os.environ),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        KeyError("DB_PASS"),
        RuntimeError("Set DB_PASS first."),
        ValueError("environment: ['A', 'DB_PASS']"),
    ],
)
def test_a_fault_on_a_withheld_name_says_which_flag_passes_it(monkeypatch, error):
    monkeypatch.setenv(withheld.NAMES, "AWS_SECRET_ACCESS_KEY,DB_PASS")
    assert fault_of(error).type == (
        f"{type(error).__name__} (DB_PASS is withheld from models; --pass-env DB_PASS passes it)"
    )


def test_the_cause_of_a_fault_is_asked_too(monkeypatch):
    monkeypatch.setenv(withheld.NAMES, "DB_PASS")
    error = RuntimeError("no store")
    error.__cause__ = KeyError("DB_PASS")
    assert "--pass-env DB_PASS" in (hint(error) or "")


@pytest.mark.parametrize(
    "error", [KeyError("DB_PASS2"), KeyError("MYDB_PASS"), KeyError(5), KeyError()]
)
def test_other_faults_say_nothing_of_the_environment(monkeypatch, error):
    monkeypatch.setenv(withheld.NAMES, "DB_PASS")
    assert fault_of(error).type == "KeyError"


def test_an_exceptions_own_code_is_not_run(monkeypatch):
    monkeypatch.setenv(withheld.NAMES, "DB_PASS")

    class Hostile(Exception):
        def __str__(self):
            raise SystemExit

        __repr__ = __str__

        @property
        def args(self):
            raise SystemExit

    assert hint(Hostile("x")) is None
