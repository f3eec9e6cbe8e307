"""The emulator of DAX says what Microsoft and SQLBI document, and refuses what it does not know."""

import pandas as pd
import pytest
from dax import Model

SALES = pd.DataFrame(
    {
        "product": ["P1", "P1", "p2", "P3"],  # case does not count, in keys either
        "customer": ["C1", "C2", "C1", "C1"],
        "day": pd.to_datetime(["2009-01-31", "2009-01-29", "2009-01-08", None]),
        "amount": [1.0, 2.0, 4.0, 8.0],
        "discount": [0.0, None, None, 1.0],
    }
)
PRODUCT = pd.DataFrame(
    {"key": ["P1", "P2", "P3"], "color": ["Red", "Red", "Blue"], "size": ["S", "L", "S"], "maker": ["A", "B", "A"]}
)
MAKER = pd.DataFrame({"name": ["A", "B"], "country": ["France", "Spain"]})
CUSTOMER = pd.DataFrame({"id": ["C1", "C2", "C3"], "city": ["Rome", "Oslo", "Oslo"]})
RELATIONSHIPS = [
    ("Sales", "product", "Product", "key"),
    ("Sales", "customer", "Customer", "id"),
    ("Product", "maker", "Maker", "name"),
]
TABLES = {"Sales": SALES, "Product": PRODUCT, "Maker": MAKER, "Customer": CUSTOMER}
MEASURES = {
    "Amount": "SUM(Sales[amount])",
    "Always red": 'CALCULATE([Amount], Product[color] = "red")',
    "Only red": 'CALCULATE([Amount], KEEPFILTERS(Product[color] = "Red"))',
    "All products": "CALCULATE([Amount], ALL(Product))",
    "All sales": "CALCULATE([Amount], REMOVEFILTERS(Sales))",
    "All colors": "CALCULATE([Amount], REMOVEFILTERS(Product[color]))",
    "All makers": "CALCULATE([Amount], REMOVEFILTERS(Maker))",
}
COLOR, SIZE, CITY, COUNTRY = ("Product", "color"), ("Product", "size"), ("Customer", "city"), ("Maker", "country")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(TABLES, RELATIONSHIPS, MEASURES, {("Sales", "maker"): "RELATED(Product[maker])"})


@pytest.mark.parametrize(
    ("dax", "value"),
    [  # https://www.sqlbi.com/articles/blank-handling-in-dax/, its table of results
        ("BLANK()", None),
        ("BLANK() = 0", True),
        ("BLANK() = FALSE()", True),
        ("BLANK() == FALSE()", False),
        ("BLANK() == 0", False),
        ("BLANK() == BLANK()", True),
        ("BLANK() && TRUE()", False),
        ("BLANK() || TRUE()", True),
        ("BLANK() + 4", 4),
        ("BLANK() + BLANK()", None),
        ("BLANK() - 4", -4),
        ("BLANK() * 4", None),
        ('BLANK() = ""', True),
        ('BLANK() == ""', False),
        ('IF(BLANK(), "true", "false")', "false"),
        ('IF(ISBLANK(BLANK()), "true", "false")', "true"),
        # https://learn.microsoft.com/en-us/dax/divide-function-dax: BLANK, or the third argument, beside a 0
        ("DIVIDE(5, 2)", 2.5),
        ("DIVIDE(5, 0)", None),
        ("DIVIDE(5, 0, 1)", 1),
        # https://learn.microsoft.com/en-us/dax/dax-operator-reference: * before + before = before && before ||
        ("1 + 2 * 3 = 7 && 1 = 1 || 1 = 2 && 1 = 3", True),
        ("-2 * 3 - 1", -7),
        # https://learn.microsoft.com/en-us/power-bi/connect-data/desktop-data-types: case does not count in text
        ('"Red" = "red"', True),
        # https://dax.guide/sum and https://dax.guide/countrows: nothing to sum or to count is BLANK
        ('CALCULATE(SUM(Sales[amount]), Sales[customer] = "C3")', None),
        ('CALCULATE(COUNTROWS(Sales), Sales[customer] = "C3")', None),
        ("COUNT(Sales[discount])", 2),
        # https://learn.microsoft.com/en-us/dax/distinctcountnoblank-function-dax: DISTINCTCOUNT counts BLANK
        ("DISTINCTCOUNT(Sales[discount])", 3),
        # https://learn.microsoft.com/en-us/dax/edate-function-dax: of January's last days, February's last
        ("EDATE(MAX(Sales[day]), 1)", pd.Timestamp("2009-02-28")),
        # https://learn.microsoft.com/en-us/dax/selectedvalue-function and hasonevalue: one value, else BLANK
        ("SELECTEDVALUE(Product[color])", None),
        ('CALCULATE(SELECTEDVALUE(Product[color]), Product[key] = "P1")', "Red"),
        ("HASONEVALUE(Product[color])", False),
        # the second argument stands for several values, and for none
        ('SELECTEDVALUE(Product[color], "several")', "several"),
        ('CALCULATE(SELECTEDVALUE(Product[color], "none"), Product[key] = "P4")', "none"),
        ('CALCULATE(SELECTEDVALUE(Product[color], "several"), Product[key] = "P1")', "Red"),
        # https://learn.microsoft.com/en-us/dax/log-function-dax: its example
        ("LOG(100, 10)", 2),
        # https://learn.microsoft.com/en-us/dax/sumx-function-dax: an expression for each row of a table
        ("SUMX(Sales, Sales[amount] * Sales[discount])", 8),
        ("SUMX(FILTER(Sales, Sales[amount] > 1 && ISBLANK(Sales[discount])), Sales[amount])", 6),
        # https://dax.guide/calculate: in a row context, the row becomes a filter
        ("SUMX(VALUES(Product[color]), [Amount] * [Amount])", 7 * 7 + 8 * 8),
        ("SUMX(VALUES(Product[color]), CALCULATE(SUM(Sales[amount])) * 10)", 150),
        # https://dax.guide/min: MINX ignores BLANK, and is BLANK where there is nothing else
        ("MINX(Sales, Sales[discount] + Sales[amount])", 1),
        ("MINX(VALUES(Product[color]), IF([Amount] > 7, [Amount], BLANK()))", 8),
        ("MINX(VALUES(Product[color]), BLANK())", None),
        # https://learn.microsoft.com/en-us/dax/round-function-dax: its examples; ties go away from 0
        ("ROUND(2.15, 1)", 2.2),
        ("ROUND(2.149, 1)", 2.1),
        ("ROUND(-1.15, 1)", -1.2),
        ("ROUND(21.5, -1)", 20),
        ("SUMX(Sales, ROUND(Sales[amount] * 2.15, 1))", 2.2 + 4.3 + 8.6 + 17.2),
        # https://learn.microsoft.com/en-us/dax/var-dax: wherever an expression can stand, of the row that it is in
        ("SUMX(Sales, VAR twice = 2 * Sales[amount] RETURN IF(twice > 4, twice, BLANK()))", 24),
        # https://learn.microsoft.com/en-us/dax/rankx-function-dax: the highest is 1; after a tie comes the place
        # plus the number of tied values; a value that is in no row is ranked beside them
        ("RANKX(Sales, Sales[amount], 4)", 2),
        ("RANKX(Sales, Sales[amount], 9)", 1),
        ("RANKX(Sales, IF(Sales[amount] < 3, 1, 0), 1)", 1),
        ("RANKX(Sales, IF(Sales[amount] < 3, 1, 0), 0)", 3),
        # https://learn.microsoft.com/en-us/dax/calculatetable-function-dax: a table in another filter context
        ('SUMX(CALCULATETABLE(Sales, Product[color] = "Red"), Sales[amount])', 7),
        # https://learn.microsoft.com/en-us/dax/related-function-dax: the value on the one side
        ('CALCULATE([Amount], Sales[maker] = "A")', 11),
        # https://www.sqlbi.com/articles/blank-handling-in-dax/, and the operators' reference: & before =
        ('BLANK() & "A"', "A"),
        ('"A" & BLANK()', "A"),
        ('"a" & "b" & "c" = "abc"', True),
        # https://learn.microsoft.com/en-us/dax/format-function-dax: BLANK is an empty text; its examples of custom
        # formats; one section for all, two for negative numbers apart, three for zero too
        ('FORMAT(BLANK(), "0.0%")', ""),
        ('FORMAT(12345.67, "#,##0.00")', "12,345.67"),
        ('FORMAT(12345.67, "0")', "12346"),
        ('FORMAT(0 - 12345.67, "#,##0")', "-12,346"),
        ('FORMAT(0.5, "#,##0")', "1"),
        ('FORMAT(0.08, "0.00%")', "8.00%"),
        ('FORMAT(0.034, "+0.0%;-0.0%;0.0%")', "+3.4%"),
        ('FORMAT(0 - 0.034, "+0.0%;-0.0%;0.0%")', "-3.4%"),
        ('FORMAT(0, "+0.0%;-0.0%;0.0%")', "0.0%"),
        ('FORMAT(0, "+0;-0")', "+0"),
        ('FORMAT(0 - 0.0001, "0.0%;0.0%")', "0.0%"),
        ('FORMAT(MAX(Sales[day]), "mmm yyyy")', "Jan 2009"),
        ('FORMAT(MAX(Sales[day]), "mmm")', "Jan"),
        ('FORMAT(MAX(Sales[day]), "yyyy-mm-dd")', "2009-01-31"),
        # https://learn.microsoft.com/en-us/dax/switch-function-dax: the first that is true, else the last
        ('SWITCH(TRUE(), 1 = 2, "a", 2 = 2, "b", 3 = 3, "c", "d")', "b"),
        ('SWITCH(TRUE(), 1 = 2, "a", "d")', "d"),
        ('SWITCH(TRUE(), 1 = 2, "a")', None),
        ("VAR a = SUM(Sales[amount]) VAR b = a + 1 RETURN b - a", 1),
    ],
)
def test_what_is_documented_of_values(model, dax, value):
    found = model.value(dax)
    assert found is None if value is None else found == value


@pytest.mark.parametrize(
    ("measure", "filters", "value"),
    [
        # https://www.sqlbi.com/articles/using-keepfilters-in-dax-updated/ and https://dax.guide/keepfilters:
        # CALCULATE replaces the filter on its column, so that each row says the same; KEEPFILTERS keeps both
        ("Always red", {}, 7),
        ("Always red", {COLOR: ["Blue"]}, 7),
        ("Only red", {COLOR: ["Blue"]}, None),
        ("Only red", {COLOR: ["Red"]}, 7),
        ("Only red", {COLOR: ["Red", "Blue"]}, 7),
        # https://learn.microsoft.com/en-us/dax/calculate-function-dax: filters on other columns stay
        ("Always red", {SIZE: ["S"]}, 3),
        ("Always red", {COLOR: ["Blue"], CITY: ["Rome"]}, 5),
        # https://www.sqlbi.com/articles/filtering-tables/: ALL of Sales says the same for every color, as ALL of
        # Product does, because Sales is expanded by the tables on the one side of it
        ("All products", {COLOR: ["Blue"]}, 15),
        ("All sales", {COLOR: ["Blue"]}, 15),
        ("All sales", {COLOR: ["Blue"], CITY: ["Oslo"], COUNTRY: ["Spain"]}, 15),
        ("All products", {COLOR: ["Blue"], CITY: ["Oslo"]}, 2),
        ("All products", {COUNTRY: ["Spain"]}, 15),
        # https://www.sqlbi.com/articles/context-transition-and-expanded-tables/: from many to one only
        ("All makers", {COLOR: ["Red"], COUNTRY: ["Spain"]}, 7),
        ("All colors", {COLOR: ["Blue"], SIZE: ["S"]}, 11),
        # https://learn.microsoft.com/en-us/power-bi/transform-model/desktop-relationships-understand: filters go
        # from one to many, over more than one step, and not back
        ("Amount", {COUNTRY: ["France"]}, 11),
    ],
)
def test_what_is_documented_of_filters(model, measure, filters, value):
    assert model.value(f"[{measure}]", filters) == value


def test_filters_do_not_go_from_many_to_one(model):
    assert model.value("COUNTROWS(Product)", {("Sales", "customer"): ["C2"]}) == 3


@pytest.mark.parametrize(
    "dax",
    [
        "SUMMARIZE(Sales)",
        "4 / 2",
        '"a" & 1',
        "BLANK() & BLANK()",
        'FORMAT(1, "0.0E+00")',
        'FORMAT(1, "Percent")',
        'FORMAT(1, "mmm yyyy")',
        'FORMAT(MAX(Sales[day]), "0")',
        'FORMAT(TRUE(), "0")',
        'FORMAT(0 - 0.3, "#,##0")',  # -0 or 0
        'FORMAT(0.0001, "+0.0%;-0.0%;0.0%")',
        'SWITCH(1, 1, "a")',
        "CALCULATE([Amount], FILTER(Sales, Sales[amount] > 1))",
        "CALCULATE([Amount], Product[color] = Product[size])",
        "CALCULATE([Amount], ALLEXCEPT(Product))",
        "SUMX(Sales, [Amount])",
        "Sales[amount]",
        "EDATE(BLANK(), 1)",
        "ROUND(BLANK(), 1)",
        "LOG(0, 2)",
        "LOG(BLANK(), 2)",
        '1 = "1"',
        "SUM(Sales[amount] * 2)",
        "1 2",
    ],
)
def test_anything_else_is_refused(model, dax):
    with pytest.raises(NotImplementedError):
        model.value(dax)


def test_keys_that_do_not_meet_are_refused():
    with pytest.raises(ValueError, match="no Customer"):
        Model(TABLES | {"Customer": CUSTOMER[:1]}, RELATIONSHIPS, {})
    with pytest.raises(ValueError, match="twice"):
        Model(TABLES | {"Maker": pd.DataFrame({"name": ["A", "B", "a"]})}, RELATIONSHIPS, {})
