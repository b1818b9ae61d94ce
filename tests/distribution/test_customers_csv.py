"""CSV as spreadsheets write it: every letter whole, or the file refused."""

import pytest

from store.distribution.csv_columns import FileUnclear
from store.distribution.customers_csv import LeftOut, Row, read_customers

MUELLER = [Row(2, "anna@reader.example", "Müller, Anna")]


@pytest.mark.parametrize(
    "data",
    [
        b'\xef\xbb\xbfemail,name\nanna@reader.example,"M\xc3\xbcller, Anna"\n',
        b"email;name\nanna@reader.example;M\xfcller, Anna\n",
        'email;name\r\nanna@reader.example;"Müller, Anna"'.encode("utf-16"),
        "email\tname\r\nanna@reader.example\tMüller, Anna\r\n".encode("utf-16-le"),
        b"\xff\xfe" + "email\tname\nanna@reader.example\tMüller, Anna".encode("utf-16-le"),
        b"\xfe\xff" + "email\tname\nanna@reader.example\tMüller, Anna".encode("utf-16-be"),
        ' E-Mail , NAME \nanna@reader.example,"Müller, Anna"\n'.encode(),
        'email,name\nanna@reader.example,"Müller,\n Anna"\n'.encode(),
        'email,name\nanna@reader.example,"Müller, Anna"'.encode(),
        'email,name\ranna@reader.example,"Müller, Anna"\r'.encode(),
        "name;x;email\nMu\u0308ller, Anna;1;anna@reader.example\n".encode(),
        "email;name\nAnna <anna@reader.example>;Müller, Anna\n".encode(),
    ],
)
def test_one_purchaser_however_the_spreadsheet_wrote_it(data: bytes) -> None:
    found = read_customers(data)
    assert (found.rows, found.left_out) == (MUELLER, [])


def test_a_first_line_that_names_the_separator_is_no_heading() -> None:
    found = read_customers("sep=;\r\nemail;name\r\nanna@reader.example;Müller, Anna\r\n".encode())
    assert found.rows == [Row(3, "anna@reader.example", "Müller, Anna")]


def test_a_column_may_be_chosen_by_its_heading() -> None:
    data = b"Contact,Who,email\nanna@reader.example,Anna,other@reader.example\n"
    found = read_customers(data, {"email": " contact ", "name": "WHO"})
    assert found.rows == [Row(2, "anna@reader.example", "Anna")]
    with pytest.raises(FileUnclear, match="no column “nobody”"):
        read_customers(data, {"email": "contact", "name": "nobody"})


def test_a_file_of_addresses_alone_has_no_names() -> None:
    found = read_customers(b"email\nanna@reader.example\n")
    assert found.rows == [Row(2, "anna@reader.example", "")]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ("email;name\nanna@reader.example;Müller\n".encode("cp850"), "encoding"),
        ("email;name\nanna@reader.example;Müller\n".encode("mac-roman"), "encoding"),
        ("email;name\nanna@reader.example;Анна Мюллер\n".encode("cp1251"), "encoding"),
        ("email;name\nanna@reader.example;Άννα Μύλλερ\n".encode("cp1253"), "encoding"),
        (b"\xef\xbb\xbfemail,name\nanna@reader.example,M\xfcller\n", "encoding"),
        (b"email,name\x00\x00\n", "encoding"),
        (b"email|name\nanna@reader.example|Anna\n", "commas, semicolons or tabs"),
        (b"sep=|\nemail|name\n", "separator"),
        (b"email,x;email\n", "comma or semicolon"),
        (b"email,x\temail\n", "comma or tab"),
        (b"name\nAnna\n", "No column"),
        (b"email,email\na@b.example,c@d.example\n", "Two columns"),
        (b"", "No column"),
        (b"PK\x03\x04\x00\x00", "encoding"),
    ],
)
def test_what_cannot_be_read_without_guessing_is_refused_whole(data: bytes, named: str) -> None:
    with pytest.raises(FileUnclear, match=named):
        read_customers(data)


def test_every_row_that_is_left_out_has_its_line_its_value_and_the_reason() -> None:
    found = read_customers(
        b"email,name\n"
        b'anna@reader.example,"two\nlines"\n'
        b"\n"
        b" ANNA@Reader.example ,Anna\n"
        b"nobody,Nobody\n"
        b"short@reader.example\n"
        b"long@reader.example,Long,more\n"
        b",\n" + b"wide@reader.example," + b"x" * 201 + b"\n"
    )
    assert found.rows == [Row(2, "anna@reader.example", "two lines")]
    assert found.left_out == [
        LeftOut(4, "", "empty line"),
        LeftOut(5, "ANNA@Reader.example", "the same address as on line 2"),
        LeftOut(6, "nobody", "“nobody” has no @. It should look like name@example.com."),
        LeftOut(7, "short@reader.example", "1 field where the heading has 2"),
        LeftOut(8, "long@reader.example | Long | more", "3 fields where the heading has 2"),
        LeftOut(9, "", "empty line"),
        LeftOut(10, "wide@reader.example", "the name has more than 200 characters"),
    ]
    assert found.total == 8
