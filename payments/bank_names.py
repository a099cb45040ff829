"""
Banks by the first four letters of their IFSC (Reserve Bank of India's list), as people call them.

Only the large ones, for a label that says more than letters; a bank that is missing here is as good as any other.
"""

from typing import Final

_BANKS: Final = {
    "AIRP": "Airtel Payments Bank",
    "AUBL": "AU Small Finance Bank",
    "BARB": "Bank of Baroda",
    "BDBL": "Bandhan Bank",
    "BKID": "Bank of India",
    "CBIN": "Central Bank of India",
    "CITI": "Citibank",
    "CIUB": "City Union Bank",
    "CNRB": "Canara Bank",
    "DBSS": "DBS Bank",
    "DCBL": "DCB Bank",
    "ESFB": "Equitas Small Finance Bank",
    "FDRL": "Federal Bank",
    "HDFC": "HDFC Bank",
    "HSBC": "HSBC",
    "IBKL": "IDBI Bank",
    "ICIC": "ICICI Bank",
    "IDFB": "IDFC First Bank",
    "IDIB": "Indian Bank",
    "INDB": "IndusInd Bank",
    "IOBA": "Indian Overseas Bank",
    "IPOS": "India Post Payments Bank",
    "JAKA": "Jammu & Kashmir Bank",
    "KARB": "Karnataka Bank",
    "KKBK": "Kotak Mahindra Bank",
    "KVBL": "Karur Vysya Bank",
    "MAHB": "Bank of Maharashtra",
    "PSIB": "Punjab & Sind Bank",
    "PUNB": "Punjab National Bank",
    "PYTM": "Paytm Payments Bank",
    "RATN": "RBL Bank",
    "SBIN": "State Bank of India",
    "SCBL": "Standard Chartered",
    "SIBL": "South Indian Bank",
    "TMBL": "Tamilnad Mercantile Bank",
    "UBIN": "Union Bank of India",
    "UCBA": "UCO Bank",
    "UJVN": "Ujjivan Small Finance Bank",
    "UTIB": "Axis Bank",
    "YESB": "Yes Bank",
}


def bank_of(ifsc: str) -> str | None:
    """The bank's name, or None for one that is not in the table."""
    return _BANKS.get(ifsc[:4])
