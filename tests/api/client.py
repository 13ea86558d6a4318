"""Makes a client from the API's description, as anybody could, and goes through every `users_*` call with it: given
nothing but the address of a server and a key. Called by scripts/client-test.

Each call must give what is documented for a key. A call that exists and is not made here is an error.
"""

import importlib
import json
import pathlib
import pkgutil
import subprocess
import sys
import time
from typing import Any

import pyotp

# The calls of the reference's public schema that are there: method, path, operation id. A client that was made from that
# schema calls these.
REFERENCE = """
GET /api/users/ users_list
GET /api/users/{uuid}/ users_retrieve
PUT /api/users/{uuid}/ users_update
PATCH /api/users/{uuid}/ users_partial_update
DELETE /api/users/{uuid}/ users_destroy
POST /api/users/{uuid}/credentials_review_complete/ users_credentials_review_complete_create
GET /api/users/{uuid}/github_login/ users_github_login_retrieve
GET /api/users/{uuid}/hedgehog_config/ users_hedgehog_config_retrieve
PATCH /api/users/{uuid}/hedgehog_config/ users_hedgehog_config_partial_update
GET /api/users/{uuid}/login_sessions/ users_login_sessions_list
POST /api/users/{uuid}/login_sessions/revoke_others/ users_login_sessions_revoke_others_create
POST /api/users/{uuid}/scene_personalisation/ users_scene_personalisation_create
GET /api/users/{uuid}/start_2fa_setup/ users_start_2fa_setup_retrieve
POST /api/users/{uuid}/two_factor_backup_codes/ users_two_factor_backup_codes_create
POST /api/users/{uuid}/two_factor_disable/ users_two_factor_disable_create
GET /api/users/{uuid}/two_factor_start_setup/ users_two_factor_start_setup_retrieve
GET /api/users/{uuid}/two_factor_status/ users_two_factor_status_retrieve
POST /api/users/{uuid}/two_factor_validate/ users_two_factor_validate_create
POST /api/users/{uuid}/validate_2fa/ users_validate_2fa_create
PATCH /api/users/cancel_email_change_request/ users_cancel_email_change_request_partial_update
POST /api/users/request_email_verification/ users_request_email_verification_create
POST /api/users/verify_email/ users_verify_email_create
GET /api/organizations/{organization_id}/invites/ invites_list
POST /api/organizations/{organization_id}/invites/ invites_create
POST /api/organizations/{organization_id}/invites/bulk/ invites_bulk_create
GET /api/organizations/{organization_id}/members/ members_list
GET /api/organizations/{organization_id}/projects/ organizations_projects_list
POST /api/organizations/{organization_id}/projects/ organizations_projects_create
"""


def main(generator: str, url: str, key: str, work: str) -> None:
    document = json.loads(pathlib.Path("assets/openapi.json").read_text())
    agrees_with_reference(document)
    generate(generator, document, pathlib.Path(work))
    sys.path.insert(0, work)
    caller = Caller(url, key)
    account(caller)
    two_factor(caller)
    email(caller)
    sessions_only(caller)
    caller.has_called_everything()
    print(f"{len(caller.called)} calls of a generated client, each with the documented result")


def agrees_with_reference(document: dict[str, Any]) -> None:
    for line in REFERENCE.split("\n"):
        if line:
            method, path, operation = line.split(" ")
            found = document["paths"].get(path, {}).get(method.lower(), {}).get("operationId")
            assert found == operation, f"{method} {path} is {found}, and {operation} in the reference"


def generate(generator: str, document: dict[str, Any], work: pathlib.Path) -> None:
    paths = {
        path: {method: one for method, one in item.items() if one["operationId"].startswith("users_")}
        for path, item in document["paths"].items()
    }
    document["paths"] = {path: item for path, item in paths.items() if item}
    (work / "users.json").write_text(json.dumps(document))
    (work / "config.yml").write_text("post_hooks: []\n")
    arguments = [generator, "generate", "--path", work / "users.json", "--output-path", work / "doorward_client"]
    arguments += ["--meta", "none", "--config", work / "config.yml", "--fail-on-warning"]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)


class Caller:
    def __init__(self, url: str, key: str) -> None:
        self.package = importlib.import_module("doorward_client")
        self.calls = importlib.import_module("doorward_client.api.users")
        self.models = importlib.import_module("doorward_client.models")
        self.client = self.package.AuthenticatedClient(base_url=url, token=key)
        self.called: set[str] = set()

    def call(self, name: str, status: int, *path: str, code: str | None = None, **body: Any) -> Any:
        """Calls it, wants this status, and this code of an error. The answer is a model of the client's."""
        self.called.add(name)
        arguments: dict[str, Any] = {"client": self.client}
        module = importlib.import_module(f"{self.calls.__name__}.{name}")
        if body:
            model = next(thing for thing in vars(module) if thing.endswith("Request"))
            arguments["body"] = getattr(module, model).from_dict(body)
        answer = module.sync_detailed(*path, **arguments)
        assert answer.status_code == status, f"{name}: {answer.status_code}, not {status}: {answer.content!r}"
        if status >= 400:
            assert isinstance(answer.parsed, self.models.Error), f"{name}: {answer.parsed!r}"
            assert code is None or answer.parsed.code == code, f"{name}: {answer.parsed.code}, not {code}"
        return answer.parsed

    def has_called_everything(self) -> None:
        missing = {module.name for module in pkgutil.iter_modules(self.calls.__path__)} - self.called
        assert not missing, f"not called: {sorted(missing)}"


def account(caller: Caller) -> None:
    page = caller.call("users_list", 200)
    assert page.count == 1 and page.next_ is None, page
    me = caller.call("users_retrieve", 200, "@me")
    assert me.uuid == page.results[0].uuid and me.is_2fa_enabled is False, me
    assert caller.call("users_retrieve", 200, str(me.uuid)).email == me.email
    stranger = "01990f5c-1f2e-7000-9b1d-5a0f3b9d2c11"
    caller.call("users_retrieve", 403, stranger, code="permission_denied")
    changed = caller.call("users_partial_update", 200, "@me", first_name="Augusta", theme_mode="dark")
    assert (changed.first_name, changed.theme_mode) == ("Augusta", "dark"), changed
    caller.call("users_partial_update", 400, "@me", code="invalid_choice", theme_mode="pink")
    # A key changes neither address nor password, and deletes nobody.
    new = {"email": "augusta@example.com", "password": "a brand new battery staple"}
    caller.call("users_update", 403, "@me", code="permission_denied", **new)
    caller.call("users_destroy", 401, "@me", code="not_authenticated")


def two_factor(caller: Caller) -> None:
    status = caller.call("users_two_factor_status_retrieve", 200, "@me")
    assert (status.is_enabled, status.method, status.backup_codes) == (False, None, []), status
    caller.call("users_two_factor_backup_codes_create", 403, "@me", code="permission_denied")
    caller.call("users_two_factor_validate_create", 400, "@me", code="setup_expired", token="123456")

    # Each start replaces the secret of the one before.
    secrets = [
        caller.call("users_two_factor_start_setup_retrieve", 200, "@me").secret,
        caller.call("users_two_factor_start_setup_create", 200, "@me").secret,
        caller.call("users_start_2fa_setup_create", 200, "@me").secret,
        caller.call("users_start_2fa_setup_retrieve", 200, "@me").secret,
    ]
    assert len(set(secrets)) == 4 and all(len(secret) == 32 for secret in secrets)
    phone = pyotp.TOTP(secrets[-1])
    caller.call("users_validate_2fa_create", 400, "@me", code="token_invalid", token="x")
    used = int(time.time())
    assert caller.call("users_validate_2fa_create", 200, "@me", token=phone.at(used)).success

    status = caller.call("users_two_factor_status_retrieve", 200, "@me")
    # Codes are not for keys.
    assert (status.is_enabled, status.method, status.backup_codes) == (True, "TOTP", []), status
    caller.call("users_two_factor_start_setup_retrieve", 403, "@me", code="sensitive_action_required_reauth")
    caller.call("users_two_factor_disable_create", 403, "@me", code="sensitive_action_required_reauth")
    # A code is accepted once: this is the next one.
    assert caller.call("users_two_factor_disable_create", 200, "@me", token=phone.at(used + 30)).success
    assert caller.call("users_two_factor_status_retrieve", 200, "@me").is_enabled is False

    secret = caller.call("users_two_factor_start_setup_retrieve", 200, "@me").secret
    code = pyotp.TOTP(secret).now()
    assert caller.call("users_two_factor_validate_create", 200, "@me", token=code).success


def email(caller: Caller) -> None:
    uuid = str(caller.call("users_retrieve", 200, "@me").uuid)
    assert caller.call("users_request_email_verification_create", 200, uuid=uuid).success
    caller.call("users_verify_email_create", 400, code="invalid_token", uuid=uuid, token="nonsense")
    caller.call("users_verify_email_create", 400, code="required", uuid=uuid)
    name = "users_cancel_email_change_request_partial_update"
    caller.call(name, 400, code="email_change_request_not_found")


def sessions_only(caller: Caller) -> None:
    """What no key may do, whatever its scopes."""
    for name in ("login_sessions_list", "login_sessions_revoke_others_create", "remembered_devices_list"):
        caller.call(f"users_{name}", 401, "@me", code="not_authenticated")
    for name in ("login_sessions_destroy", "remembered_devices_destroy"):
        caller.call(f"users_{name}", 401, "@me", "01990f5c-1f2e-7000-9b1d-5a0f3b9d2c11", code="not_authenticated")
    for name, body in {
        "credentials_review_complete_create": {},
        "github_login_retrieve": {},
        "hedgehog_config_retrieve": {},
        "hedgehog_config_partial_update": {"color": "red"},
        "pending_invites_list": {},
        "product_intro_seen_partial_update": {"product_key": "surveys"},
        "scene_personalisation_create": {"scene": "Person", "dashboard": 1},
    }.items():
        caller.call(f"users_{name}", 403, "@me", code="permission_denied", **body)


if __name__ == "__main__":
    main(*sys.argv[1:])
