"""What the tester of scripts/api-test does around each call: it presents the credential, and renews what a call has
ended. Which credential, and where the server is, comes from the environment.
"""

import atexit
import collections
import json
import os
import subprocess
import threading
import zlib
from typing import Any

import requests
import schemathesis
from schemathesis import Case, HookContext, Response

URL = os.environ["DOORWARD_API_TEST_URL"]
DOORWARD = os.environ["DOORWARD_API_TEST_PROGRAM"]
WAY = os.environ["DOORWARD_API_TEST_WAY"]
PASSWORD = "correct horse battery staple"

# Calls that end the session, or something else of the account's that other calls need, when they succeed.
ENDING = {
    "logout_create",
    "logout_redirect_create",
    "users_destroy",
    "personal_api_keys_destroy",
    "organizations_destroy",
    "members_destroy",
}

SEEN: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)


def run(*arguments: str, standard_input: str = "") -> Any:
    done = subprocess.run([DOORWARD, *arguments, "--json"], input=standard_input, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: {done.stderr}")
    return json.loads(done.stdout)


class Person:
    """A staff account, and a way in. Made anew when a call has ended either."""

    def __init__(self) -> None:
        self.made = 0
        self.lock = threading.Lock()
        self.headers: dict[str, str] | None = None
        self.key_id = "@current"

    def credential(self) -> dict[str, str]:
        with self.lock:
            if self.headers is None:
                self.headers = self.key() if WAY == "key" else self.session()
            return self.headers

    def forget(self) -> None:
        with self.lock:
            self.headers = None

    def account(self) -> str:
        self.made += 1
        email = f"{WAY}.{self.made}@example.com"
        run("user", "create", "--email", email, "--staff", "--verified", "--password-stdin", standard_input=PASSWORD)
        return email

    def key(self) -> dict[str, str]:
        made = run("key", "create", "--user", self.account(), "--label", "tester", "--scope", "*")
        return {"Authorization": f"Bearer {made['value']}"}

    def session(self) -> dict[str, str]:
        caller = requests.Session()
        answer = caller.post(f"{URL}/api/login/", json={"email": self.account(), "password": PASSWORD}, timeout=30)
        answer.raise_for_status()
        headers = {"X-CSRFToken": caller.cookies["posthog_csrftoken"]}
        key = {"label": "a key of the tester's", "scopes": ["user:read"]}
        made = caller.post(f"{URL}/api/personal_api_keys/", json=key, headers=headers, timeout=30)
        self.key_id = made.json()["id"]
        # The server lets everybody found organizations.
        caller.post(f"{URL}/api/organizations/", json={"name": "Testers"}, headers=headers, timeout=30)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in caller.cookies)
        return {"Cookie": cookies, **headers}


PERSON = Person()


@schemathesis.hook
def map_path_parameters(context: HookContext, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Most made-up ids name nothing. Three of four become the caller's own, so that calls get further than that."""
    own_names = {"uuid": "@me", "user_uuid": "@me", "organization_id": "@current", "id": PERSON.key_id}
    for name, own in own_names.items():
        value = str((path_parameters or {}).get(name, ""))
        if value and zlib.crc32(value.encode("utf-8", "replace")) % 4 != 0:
            path_parameters[name] = own
    return path_parameters


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    for name, value in PERSON.credential().items():
        case.headers[name] = value


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    operation = case.operation.definition.raw["operationId"]
    if case.method.lower() == case.operation.method.lower():
        SEEN[operation][response.status_code] += 1
    # A key is never ended by what it may do.
    if WAY == "session" and (response.status_code == 401 or (operation in ENDING and response.status_code < 400)):
        PERSON.forget()


@atexit.register
def report() -> None:
    """Which calls succeeded at least once: a run in which nothing does tests little."""
    if not SEEN:
        return
    never = sorted(name for name, statuses in SEEN.items() if min(statuses) >= 400)
    print(f"\n{len(SEEN) - len(never)} of {len(SEEN)} calls succeeded at least once; never: {', '.join(never) or 'none'}")
