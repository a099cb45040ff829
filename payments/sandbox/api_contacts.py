"""The API's doors for contacts, their fund accounts, and the validation of these."""

import time

from flask import Blueprint, Response, jsonify, request

from payments.sandbox.contacts import contact_entity, contact_request, create_contact, find_contact, list_contacts
from payments.sandbox.desk import desk
from payments.sandbox.fields import needed, read_json
from payments.sandbox.fund_accounts import (
    create_fund_account,
    find_fund_account,
    fund_account_entity,
    fund_account_request,
    list_fund_accounts,
)
from payments.sandbox.listing import Window, collection
from payments.sandbox.payout_requests import refuse_other_account
from payments.sandbox.validations import begin_validation, find_validation, validation_entity, validation_request

contacts = Blueprint("contacts", __name__)


@contacts.post("/contacts")
def post_contact() -> Response:
    asked = contact_request(read_json(request.get_data()))
    with desk().state.unit() as db:
        contact = create_contact(db, asked=asked, now=int(time.time()))
    return jsonify(contact_entity(contact))


@contacts.get("/contacts")
def get_contacts() -> Response:
    window = Window.asked_by(request.args)
    with desk().state.unit() as db:
        found = list_contacts(db, window=window)
    return jsonify(collection(contact_entity(contact) for contact in found))


@contacts.get("/contacts/<contact_id>")
def get_contact(contact_id: str) -> Response:
    with desk().state.unit() as db:
        contact = find_contact(db, contact_id=contact_id)
    return jsonify(contact_entity(contact))


@contacts.post("/fund_accounts")
def post_fund_account() -> Response:
    asked = fund_account_request(read_json(request.get_data()))
    with desk().state.unit() as db:
        account = create_fund_account(db, asked=asked, now=int(time.time()))
    return jsonify(fund_account_entity(account))


@contacts.get("/fund_accounts")
def get_fund_accounts() -> Response:
    window = Window.asked_by(request.args)
    with desk().state.unit() as db:
        found = list_fund_accounts(db, window=window, contact_id=request.args.get("contact_id"))
    return jsonify(collection(fund_account_entity(account) for account in found))


@contacts.get("/fund_accounts/<fund_account_id>")
def get_fund_account(fund_account_id: str) -> Response:
    with desk().state.unit() as db:
        account = find_fund_account(db, fund_account_id=fund_account_id)
    return jsonify(fund_account_entity(account))


@contacts.post("/fund_accounts/validations")
def post_validation() -> Response:
    body = read_json(request.get_data())
    asked = validation_request(body)
    refuse_other_account(needed(body, "account_number", longest=40), account_number=desk().configuration.account_number)
    with desk().state.unit() as db:
        validation = begin_validation(db, asked=asked, now=int(time.time()))
        account = find_fund_account(db, fund_account_id=validation["fund_account_id"])
    return jsonify(validation_entity(validation, account=account))


@contacts.get("/fund_accounts/validations/<validation_id>")
def get_validation(validation_id: str) -> Response:
    with desk().state.unit() as db:
        validation = find_validation(db, validation_id=validation_id)
        account = find_fund_account(db, fund_account_id=validation["fund_account_id"])
    return jsonify(validation_entity(validation, account=account))
