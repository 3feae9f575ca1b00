"""Tables for the browser tests: real where it lies beside the checkout, else one that looks like it."""

from __future__ import annotations

import csv
import random
import shutil
from pathlib import Path

from tests.conftest import SHARED


def churn(folder: Path) -> Path:
    """A telephone company's customers and who left, as `customers.csv`."""
    path = folder / "customers.csv"
    if (SHARED / "telco_churn.csv").exists():
        shutil.copy(SHARED / "telco_churn.csv", path)
        return path
    draw = random.Random(7)
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["customerID", "tenure", "Contract", "MonthlyCharges", "TechSupport", "Churn"])
        for number in range(3000):
            tenure, support = draw.randrange(1, 73), draw.choice(["Yes", "No"])
            contract = draw.choice(["Month-to-month", "One year", "Two year"])
            charges = round(draw.uniform(20, 120), 2)
            odds = 0.5 * (contract == "Month-to-month") + charges / 300 - tenure / 110
            leaves = draw.random() < odds + 0.1 * (support == "No")
            rows.writerow([f"{number:04}-C", tenure, contract, charges, support, "Yes" if leaves else "No"])
    return path
