//! Literals, identifiers, keywords, comments: every form that the grammar has.

use crate::all_true;

#[test]
fn integer_literals_have_every_form_of_java() {
    all_true(&[
        "123 = 123",
        "123L = 123",
        "123l = 123",
        "0 = 00",
        "0x7B = 123",
        "0X7bL = 123",
        "0173 = 123",
        "0173L = 123",
        "0L = 0",
        "-0x10 = -16",
        "9223372036854775807 = largest",
        "-9223372036854775808 = smallest",
        "0x7fffffffffffffff = largest",
        "0777777777777777777777 = largest",
        "rank = +123",
        "rank = - - 123",
    ]);
}

#[test]
fn float_literals_have_every_form_of_java() {
    all_true(&[
        "1.5 = 15E-1",
        "1.5 = .15e+1",
        "5. = 5",
        "5.E1 = 50",
        ".5 < .6",
        "4E-10 < 5E-10",
        "-1.1E1 < 1.E1",
        "1.5F = 1.5",
        "1.5d = 1.5D",
        "5f = 5",
        "08.5 = 8.5",
        "09e1 = 90",
        "single = 0.1F",
        "single <> 0.1",
        "1E400 > 1E308",
    ]);
}

#[test]
fn numbers_touch_words_as_in_activemq() {
    all_true(&[
        "rank=123and yes",
        "rank=1or rank=123or no",
        "rank BETWEEN 1and 200",
        "5--3\n=5",
        "5--3 = 8",
        "5LIKE'5' OR yes",
    ]);
}

#[test]
fn string_literals_double_their_quotes() {
    all_true(&[
        "quote = '''In God We Trust'''",
        "'' = empty",
        "'''' = ''''",
        "'a''b' <> 'ab'",
        "accented = 'Zürich'",
    ]);
    all_true(&[
        "'--' = '--'",
        "'/* */' <> ''",
        "'line\nbreak' = 'line\nbreak'",
        "'\\' LIKE '\\'",
    ]);
}

#[test]
fn keywords_ignore_case_and_identifiers_do_not() {
    all_true(&[
        "NoT no AnD (yes oR no)",
        "tRuE",
        "not FaLsE",
        "name lIkE 'J%' eScApE '!'",
        "missing Is NuLl",
    ]);
    all_true(&["Name IS NULL", "NAME IS NULL", "jmspriority IS NULL", "JMSPriority = 4"]);
}

#[test]
fn identifiers_may_have_any_letters_dollar_and_underscore() {
    all_true(&[
        "größe = 1",
        "$money_1 = 2",
        "_x = 3",
        "nothing IS NULL",
        "order IS NULL",
        "inner IS NULL",
    ]);
}

#[test]
fn comments_and_white_space_separate_tokens() {
    all_true(&[
        "rank/* a * comment **/=/**/123",
        "rank -- the rank\n = 123",
        "-- first\r\n rank = 123 -- last\n",
        "\t\u{c}\r\nrank\t=\r123 ",
        "/* it's */ yes",
    ]);
}
