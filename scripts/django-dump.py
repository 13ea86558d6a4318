"""See scripts/django-dump."""

import argparse
import base64
import datetime
import hashlib
import importlib.machinery
import random
import sys
import types
import uuid

import django
from django.apps import AppConfig
from django.conf import settings
from django.core.management import call_command
from django.db import connection

arguments = argparse.ArgumentParser()
arguments.add_argument("users", type=int)
arguments.add_argument("--model", choices=["auth", "posthog"], default="posthog")
arguments.add_argument("--real", type=int, default=0, metavar="N")
arguments = arguments.parse_args()
is_posthog = arguments.model == "posthog"

# An app in this file, whose models have the fields that matter of those of PostHog.
posthog = types.ModuleType("posthog")
posthog.__path__ = []
posthog.models = types.ModuleType("posthog.models")
for module in (posthog, posthog.models):
    module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
sys.modules["posthog"], sys.modules["posthog.models"] = posthog, posthog.models


class PostHog(AppConfig):
    name = "posthog"
    path = "."
    default_auto_field = "django.db.models.AutoField"


settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_otp.plugins.otp_totp",
                    "django_otp.plugins.otp_static"] + (["__main__.PostHog"] if is_posthog else []),
    AUTH_USER_MODEL="posthog.User" if is_posthog else "auth.User",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
)

if is_posthog:
    # The models have to exist when the apps are made ready, so they are defined while that happens.
    def import_models(self):
        from django.contrib.auth.models import AbstractUser
        from django.db import models

        class User(AbstractUser):
            username = None
            uuid = models.UUIDField(unique=True)
            distinct_id = models.CharField(max_length=200, unique=True)
            email = models.EmailField(max_length=254, unique=True)
            pending_email = models.EmailField(null=True)
            is_email_verified = models.BooleanField(null=True)
            theme_mode = models.CharField(max_length=20, null=True)
            partial_notification_settings = models.JSONField(null=True)
            role_at_organization = models.CharField(max_length=64, null=True)
            current_organization = models.ForeignKey("posthog.Organization", models.SET_NULL, null=True)
            USERNAME_FIELD = "email"
            REQUIRED_FIELDS = []

            class Meta:
                app_label = "posthog"

        class Organization(models.Model):
            id = models.UUIDField(primary_key=True)
            name = models.CharField(max_length=64)
            slug = models.CharField(max_length=48, unique=True)
            created_at = models.DateTimeField()
            updated_at = models.DateTimeField()
            enforce_2fa = models.BooleanField(null=True)
            members_can_invite = models.BooleanField(null=True, default=True)
            is_member_join_email_enabled = models.BooleanField(default=True)

            class Meta:
                app_label = "posthog"

        class OrganizationMembership(models.Model):
            id = models.UUIDField(primary_key=True)
            organization = models.ForeignKey("posthog.Organization", models.CASCADE)
            user = models.ForeignKey("posthog.User", models.CASCADE)
            level = models.PositiveSmallIntegerField()
            joined_at = models.DateTimeField()
            updated_at = models.DateTimeField()

            class Meta:
                app_label = "posthog"

        posthog.models.__dict__.update(User=User, Organization=Organization,
                                       OrganizationMembership=OrganizationMembership)
        AppConfig.import_models(self)

    PostHog.import_models = import_models

django.setup()
with connection.schema_editor() as editor:
    from django.apps import apps

    for model in apps.get_models():
        editor.create_model(model)

from django.contrib.auth import get_user_model, hashers
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

User = get_user_model()
chance = random.Random(7)
start = datetime.datetime(2023, 5, 17, 9, 30, 0, 123000, tzinfo=datetime.timezone.utc)


def uuid_of(text):
    return uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4)


def hash_password(number, password):
    is_real = number <= arguments.real
    kind = number % 4
    if kind == 0:
        hasher = hashers.PBKDF2PasswordHasher()
        return hasher.encode(password, hasher.salt(), None if is_real else 1000)
    if kind == 1:
        hasher = hashers.Argon2PasswordHasher()
        if not is_real:
            hasher.time_cost, hasher.memory_cost, hasher.parallelism = 1, 64, 1
    elif kind == 2:
        hasher = hashers.BCryptSHA256PasswordHasher()
        if not is_real:
            hasher.rounds = 4
    else:
        hasher = hashers.ScryptPasswordHasher()
        if not is_real:
            hasher.work_factor, hasher.parallelism = 16, 1
    return hasher.encode(password, hasher.salt())


users, totp, devices, tokens, organizations, memberships = [], [], [], [], [], []
if is_posthog:
    for number in range(1, max(2, arguments.users // 50) + 1):
        organizations.append(posthog.models.Organization(
            id=uuid_of(f"organization {number}"), name=f"Organization {number}", slug=f"organization-{number}",
            created_at=start, updated_at=start, enforce_2fa=True if number % 2 == 0 else None))
for number in range(1, arguments.users + 1):
    joined = start + datetime.timedelta(minutes=number)
    user = User(id=number, email=f"user{number}@example.com", first_name="User", last_name=f"Number {number}",
                password=hash_password(number, f"lorry-cinnamon-quartz {number}"), is_staff=number == 1,
                is_superuser=number == 2, is_active=number % 100 != 99, date_joined=joined,
                last_login=joined + datetime.timedelta(days=30) if number % 3 else None)
    if is_posthog:
        home = organizations[number % len(organizations)]
        user.uuid, user.distinct_id = uuid_of(f"user {number}"), hashlib.sha256(f"{number}".encode()).hexdigest()
        user.is_email_verified, user.theme_mode, user.current_organization = True, "dark", home
        memberships.append(posthog.models.OrganizationMembership(
            id=uuid_of(f"membership {number}"), organization=home, user=user,
            level=15 if number <= len(organizations) else 8 if number % 7 == 0 else 1, joined_at=joined,
            updated_at=joined))
    else:
        user.username = f"user{number}"
    users.append(user)
    if number % 5 == 0:
        continue
    totp.append(TOTPDevice(user=user, name="default", confirmed=True, key=chance.randbytes(20).hex()))
    devices.append(StaticDevice(id=number, user=user, name="backup", confirmed=True))
    for _ in range(10):
        token = base64.b32encode(chance.randbytes(5)).decode().lower()
        tokens.append(StaticToken(device=devices[-1], token=token))

for group in [organizations, users, memberships, totp, devices, tokens]:
    if group:
        type(group[0]).objects.bulk_create(group)
call_command("dumpdata", *(["posthog"] if is_posthog else ["auth.user"]), "otp_totp", "otp_static")
