//! What each operator computes, and how tightly it binds.

use crate::{all_false, all_true, all_unknown};

#[test]
fn between_has_three_values() {
    all_true(&[
        "rank BETWEEN 123 AND 123",
        "rank BETWEEN 100 AND 150.5",
        "rank NOT BETWEEN 1 AND 2",
    ]);
    all_false(&[
        "rank BETWEEN 124 AND 200",
        "rank BETWEEN 150 AND 100",
        "rank NOT BETWEEN 123 AND 124",
    ]);
    // One bound is enough to decide against the other's being missing.
    all_false(&["rank BETWEEN 200 AND missing", "rank BETWEEN missing AND 100"]);
    all_true(&["rank NOT BETWEEN 200 AND missing", "rank NOT BETWEEN missing AND 100"]);
    all_unknown(&["rank BETWEEN 100 AND missing", "rank NOT BETWEEN missing AND 200"]);
    all_true(&[
        "rank between version * 10 and version * 100 and yes",
        "rank + 1 BETWEEN 124 AND 124",
    ]);
    all_false(&["name BETWEEN 1 AND 2", "name NOT BETWEEN 1 AND 2"]);
}

#[test]
fn in_compares_strings_only() {
    all_true(&[
        "name IN ('James')",
        "name in ('Bob', 'James', 'Bob')",
        "name NOT IN ('Bob','Gromit')",
        "empty IN ('')",
    ]);
    all_false(&[
        "name IN ('james')",
        "name NOT IN ('James')",
        "quote NOT IN ('''In God We Trust''')",
    ]);
    all_true(&["(name) IN ('James')", "+name IN ('James')"]);
    all_unknown(&[
        "rank IN ('123')",
        "rank NOT IN ('123')",
        "yes IN ('true')",
        "list IN ('a')",
    ]);
}

#[test]
fn like_matches_whole_strings_character_by_character() {
    all_true(&[
        "name LIKE 'James'",
        "name LIKE 'J%'",
        "name LIKE '%s'",
        "name LIKE '%am%'",
        "name LIKE '_____'",
        "name LIKE '%_%_%'",
        "name LIKE '%%%'",
        "empty LIKE ''",
        "empty LIKE '%'",
        "accented LIKE 'Z_rich'",
        "quote LIKE '''In G_d%'",
        "'literal' LIKE 'lit%'",
        "name NOT LIKE 'j%'",
        "rank NOT LIKE '1%'",
    ]);
    all_false(&[
        "name LIKE 'james'",
        "name LIKE 'Jam'",
        "name LIKE '____'",
        "name LIKE '______'",
        "name LIKE ''",
        "empty LIKE '_'",
        "name NOT LIKE '%'",
        "rank LIKE '1%'",
        "yes LIKE '%'",
        "list LIKE '%'",
        "dotted LIKE 'a_b.c_'",
    ]);
}

#[test]
fn escape_takes_wildcards_literally() {
    all_true(&[
        r"underscored LIKE '\_%' ESCAPE '\'",
        "underscored LIKE '!_foo' ESCAPE '!'",
        "underscored LIKE '__oo' ESCAPE '!'",
        "'50%' LIKE '50!%' escape '!'",
        "'a!b' LIKE 'a!!b' ESCAPE '!'",
        // Before anything else the escape character is an ordinary one, as in ActiveMQ.
        "'a!b' LIKE 'a!b' ESCAPE '!'",
        "'a!' LIKE 'a!' ESCAPE '!'",
        "'XD7_' LIKE '_D7__' ESCAPE '_'",
        "underscored LIKE '%_%' ESCAPE '%'",
        "'é_' LIKE 'éé_' ESCAPE 'é' OR 'é_' LIKE '_é_' ESCAPE 'é'",
    ]);
    all_false(&[
        "name LIKE '!_%' ESCAPE '!'",
        "'50 ' LIKE '50!%' ESCAPE '!'",
        "'aXb' LIKE 'a!_b' ESCAPE '!'",
    ]);
    all_true(&["name NOT LIKE '!_%' ESCAPE '!'"]);
}

#[test]
fn and_binds_tighter_than_or() {
    all_true(&["yes OR yes AND no", "no AND no OR yes", "yes OR missing AND no"]);
    all_false(&["(yes OR yes) AND no", "no AND (no OR yes)"]);
}

#[test]
fn not_binds_looser_than_comparison_and_tighter_than_and() {
    all_true(&[
        "NOT rank = 1",
        "NOT name LIKE 'x'",
        "NOT name IN ('x')",
        "NOT rank BETWEEN 1 AND 2",
        "NOT no AND yes",
    ]);
    all_false(&["NOT rank = 123", "NOT no AND no", "NOT missing IS NULL", "NOT NOT no"]);
    all_true(&["yes = NOT no", "NOT no = yes", "NOT yes = no", "yes AND NOT no"]);
}

#[test]
fn arithmetic_binds_tighter_than_comparison() {
    all_true(&[
        "1 + 2 * 3 = 7",
        "(1 + 2) * 3 = 9",
        "2 * 3 + 1 = 7",
        "10 - 4 - 3 = 3",
        "10 - (4 - 3) = 9",
        "100 / 10 / 5 = 2",
        "7 % 4 * 2 = 6",
        "-2 + 5 = 3",
        "-(2 + 5) = -7",
        "- 2 * 3 = -6",
        "2 * -3 = -6",
        "1 - -1 = 2",
        "rank - 1 > version * 60 + 1",
    ]);
    all_true(&[
        "yes = 1 < 2",
        "1 < 2 = yes",
        "no = yes = no",
        "name LIKE 'J%' = yes",
        "yes = name IS NOT NULL",
    ]);
}

#[test]
fn arithmetic_is_exact_on_integers() {
    all_true(&[
        "largest - 1 = 9223372036854775806",
        "largest - 1 <> largest",
        "largest / 1 <> 9223372036854775806",
        "9223372036854775806 / 2 = 4611686018427387903",
        "smallest % -1 = 0",
        "7 % -4 = 3",
        "-7 % 4 = -3",
        "smallest / -1 = 9223372036854775808.0",
    ]);
}

#[test]
fn division_keeps_the_fraction() {
    all_true(&[
        "rank / version = 61.5",
        "rank / version = ratio",
        "version / 2 = 1",
        "1 / 4 = 0.25",
        "5.5 % 2 = 1.5",
    ]);
}

#[test]
fn arithmetic_without_a_result_is_unknown() {
    all_unknown(&[
        "rank / 0 = 1",
        "rank / 0 > 1",
        "rank % 0 = 0",
        "rank / zero <> 1",
        "rank / 0.0 > 1",
        "rank % 0.0 > 1",
        "zero / zero = 1",
        "largest + 1 > 0",
        "smallest - 1 < 0",
        "largest * 2 > 0",
        "-smallest > 0",
        "yes + 1 = 2",
        "1 + yes = 2",
        "1 + name = 2",
        "name - 1 = 2",
        "name * 2 = 2",
        "-name = 'James'",
        "-yes = no",
        "list + 1 = 2",
        "nan + 1 = nan",
        "(rank = 123) * 2 = 2",
    ]);
}

#[test]
fn plus_behind_a_string_joins() {
    all_true(&[
        "name + '!' = 'James!'",
        "name + 1 = 'James1'",
        "name + 1 + 2 = 'James12'",
        "name + ratio = 'James61.5'",
        "name + yes = 'Jamestrue'",
        "empty + name LIKE 'J%'",
    ]);
}
