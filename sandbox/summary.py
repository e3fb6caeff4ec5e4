"""The summary of a running sandbox: state.json for scripts, a page of text for people. Pure."""

from typing import Any

from sandbox.folder import Folder
from sandbox.keys import key_pair
from sandbox.servers.anvil import CHAIN_ID
from sandbox.world import ADMIN, Accounts, World


def state(*, world: World, accounts: Accounts, base_url: str, rpc_url: str, database_url: str) -> dict[str, Any]:
    """The content of state.json; amounts are strings of base units, as in the API."""
    return {
        "baseUrl": base_url,
        "consoleUrl": f"{base_url}/console/",
        "rpcUrl": rpc_url,
        "chainId": CHAIN_ID,
        "databaseUrl": database_url,
        "contracts": world.contracts,
        "platformAccount": world.contracts["platformExecutor"],
        "admin": {
            "username": ADMIN,
            "password": accounts.admin_password,
            "privateKey": key_pair("admin").private_key,
        },
        "staff": [{"username": name, "password": password} for name, password in accounts.staff.items()],
        "partners": [
            {
                "partnerId": partner.partner_id,
                "apiKey": accounts.api_keys[partner.partner_id],
                "settlementAddress": partner.settlement_address,
                "settlementPrivateKey": partner.settlement_private_key,
            }
            for partner in world.partners
        ],
        "users": [
            {
                "wallet": user.wallet,
                "privateKey": user.private_key,
                "oaidTokenId": user.oaid_token_id,
                "positionId": user.position_id,
                "creditLimit": str(user.credit_limit),
            }
            for user in world.users
        ],
    }


def summary_page(told: dict[str, Any], folder: Folder, loan_id: str) -> str:
    """URLs, keys, and two calls to paste; `loan_id` must be new to the partner."""
    partner, user = told["partners"][0], told["users"][0]
    lines = [
        "",
        f"  API      {told['baseUrl']}",
        f"  Console  {told['consoleUrl']}   {told['admin']['username']} / {told['admin']['password']}",
        *(f"           to approve changes: {item['username']} / {item['password']}" for item in told["staff"]),
        f"  Chain    {told['rpcUrl']}   chain id {told['chainId']}",
        f"  Database {told['databaseUrl']}",
        f"  Metrics  {told['baseUrl']}/metrics",
        f"  All of it, with keys: {folder.state}; logs: {folder.log('*')}",
        "",
        "  Partners",
        *(f"    {item['partnerId']:<26} {item['apiKey']}" for item in told["partners"]),
        "  Users with a credit line",
        *(
            f"    OAID {item['oaidTokenId']:<3} {item['wallet']}  ${int(item['creditLimit']) // 10**6:,}"
            for item in told["users"]
        ),
        "",
        "  Borrow $100 for the first user, then repay it:",
        "",
        _curl(
            told,
            "borrow",
            f'"oaidTokenId": {user["oaidTokenId"]}, "userWallet": "{user["wallet"]}", '
            f'"borrowAmount": "100000000", "partnerLoanId": "{loan_id}"',
            partner["apiKey"],
        ),
        "",
        _curl(told, "repay", f'"partnerLoanId": "{loan_id}", "repaymentAmount": "100000000"', partner["apiKey"]),
        "",
        "  Ctrl-C stops everything; the next start goes on from here (--fresh begins anew).",
        "",
    ]
    return "\n".join(lines)


def _curl(told: dict[str, object], action: str, body: str, key: str) -> str:
    return (
        f"curl -sS {told['baseUrl']}/partners/{action} -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{{{body}}}'"
    )
