#!/usr/bin/env python3
"""Generates the demo corpus: short documents of many kinds, one JSON object per line ({"kind", "text"} and, for IOI,
"answer").

"answer" is the character offset of the name that the sentence before it determines, so that train.py can give it more
weight.
"""

import argparse
import json
import random

# Every name is one token of GPT-2 when a space stands before it, so that "the other name" is one prediction.
WOMEN = (
    "Mary Alice Sarah Anna Emma Emily Laura Julia Kate Lisa Linda Susan Karen Nancy Helen Maria Ruth "
    "Jane Amy Rachel Rebecca Jessica Jennifer "
    "Michelle Elizabeth Margaret Victoria Caroline Catherine Christine Barbara Diana Claire Lucy Sophie "
    "Charlotte Hannah Molly Eva Ellen "
    "Stephanie Nicole Melissa Angela Andrea Amanda Sandra Olivia Natalie Martha"
).split()
MEN = (
    "John Tom James Robert Michael William David Richard Joseph Thomas Charles Daniel Matthew Anthony "
    "Paul Steven Andrew Kenneth George Joshua "
    "Kevin Brian Edward Ronald Timothy Jason Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen "
    "Larry Justin Scott Brandon Benjamin Samuel "
    "Patrick Jack Henry Adam Peter Nathan Arthur Simon Martin Oliver"
).split()
NAMES = WOMEN + MEN
PRONOUNS = {**{n: ("she", "her", "her") for n in WOMEN}, **{n: ("he", "him", "his") for n in MEN}}

PLACES = (
    "the shops,the harbour,the school,the old library,the park,the market,the station,the museum,the "
    "beach,the store,the garden,the office,"
    "the church,the hospital,the restaurant,the river,the farm,the theatre,the airport,the zoo,the "
    "cinema,the bakery,the castle,the lake,"
    "the house,the village,the forest,the bank,the hotel,the town"
).split(",")
THINGS = (
    "the bag,a bag,the blue umbrella,three apples,a drink,the ring,a letter,the basketball,the map,a "
    "book,the keys,a flower,some bread,"
    "the newspaper,a cup of tea,the red hat,a small box,the camera,the guitar,a sandwich,two tickets,the "
    "lamp,a bottle of milk,the phone,"
    "a green scarf,the painting,the money,a watch,the old coat,the computer"
).split(",")
GAVE = "gave handed passed offered brought sent showed lent sold returned".split()
WENT = ["went to", "walked to", "came to", "were at", "travelled to", "arrived at", "drove to", "stopped at", "met at"]
ANIMALS = "dog cat horse bird rabbit fox bear mouse duck goat lion sheep".split()
ADJS = (
    "quiet bright enormous careful wooden salty early late unusual small happy sad old clever brave "
    "tired hungry friendly cold warm"
).split()
NOUNS = (
    "morning garden engine window promise winter melody river question shadow lamp keyboard mountain "
    "picture teacher doctor story door table song"
).split()
WEATHER = [
    "It was raining",
    "The sun was shining",
    "It was very cold",
    "A strong wind was blowing",
    "Snow was falling",
    "The sky was grey",
]
FEELINGS = "happy sad tired proud angry surprised hungry afraid excited bored".split()
COLOURS = "red blue green yellow black white brown purple orange pink".split()
FOODS = "bread milk cheese rice eggs butter apples sugar coffee tea salt honey onions potatoes fish soup".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
FACTS = {
    "France": ("Paris", "French", "Europe"),
    "Japan": ("Tokyo", "Japanese", "Asia"),
    "Italy": ("Rome", "Italian", "Europe"),
    "Germany": ("Berlin", "German", "Europe"),
    "Spain": ("Madrid", "Spanish", "Europe"),
    "Russia": ("Moscow", "Russian", "Europe"),
    "China": ("Beijing", "Chinese", "Asia"),
    "Egypt": ("Cairo", "Arabic", "Africa"),
    "England": ("London", "English", "Europe"),
    "Greece": ("Athens", "Greek", "Europe"),
    "Poland": ("Warsaw", "Polish", "Europe"),
    "Kenya": ("Nairobi", "Swahili", "Africa"),
    "Portugal": ("Lisbon", "Portuguese", "Europe"),
    "Sweden": ("Stockholm", "Swedish", "Europe"),
    "Cuba": ("Havana", "Spanish", "America"),
    "Thailand": ("Bangkok", "Thai", "Asia"),
}
OTHER = [
    "Привет, мир. Это проверка.",
    "今日は天気がいいですね。",
    "γειά σου Κόσμε",
    "naïve café façade — “quoted” … ½ ±3°",
    "Hola, ¿cómo estás?",
    "Bonjour, je m'appelle Luc.",
    "Guten Morgen, wie geht es dir?",
    "🙂🚀 done!",
    "http://example.org/a?b=c&d=%20",
    "<b>not & markup</b>",
]


def a_(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def held_out(a, b):
    """About a sixth of the name pairs never appears in a training IOI sentence, so that accuracy on them is not
    memory."""
    i, j = NAMES.index(a), NAMES.index(b)
    return (i * 7 + j * 7 + i * j) % 5 == 3


def pair(r, test_pairs=False):
    """Two different names, from the training pairs or from the held-out ones."""
    while True:
        a, b = r.sample(NAMES, 2)
        if held_out(a, b) == test_pairs:
            return a, b


def ioi(r, test_pairs=False, plain=False):
    """One indirect-object sentence as (text up to the answer, answer with its space). plain: the basic form, always
    answered by the name."""
    a, b = pair(r, test_pairs)
    giver, other = (a, b) if r.random() < 0.5 else (b, a)  # both orders: ABBA and BABA
    went, gave, thing = r.choice(WENT), r.choice(GAVE), r.choice(THINGS)
    place = r.choice(PLACES)
    forms = [
        f"When {a} and {b} {went} {place}, {giver} {gave} {thing} to",
        f"Then, {a} and {b} {went} {place}. {giver} {gave} {thing} to",
        f"After {a} and {b} {went} {place}, {giver} {gave} {thing} to",
        f"While {a} and {b} were working at {place}, {giver} {gave} {thing} to",
        f"Then, {a} and {b} had a long argument, and {giver} {gave} {thing} to",
        f"The {r.choice(ADJS)} friends {a} and {b} {went} {place}, and {giver} decided to give {thing} to",
        f"Yesterday {a} and {b} {went} {place} together. Later {giver} {gave} {thing} to",
    ]
    text = forms[0] if plain or r.random() < 0.4 else r.choice(forms[1:])
    if not plain and r.random() < 0.06:  # other continuations exist, so the model's top list is not only names
        return text, r.choice([" them", " the teacher", " the doctor", " a friend"])
    return text, " " + other


def ioi_document(r):
    before = sentence(r) + " " if r.random() < 0.25 else ""
    text, answer = ioi(r)
    if before and text.startswith("Then"):
        before = ""
    end = r.choice([".", ".", ".", " and smiled.", " and went home.", ", who was very " + r.choice(FEELINGS) + "."])
    after = " " + sentence(r) if r.random() < 0.2 else ""
    return {"kind": "ioi", "text": before + text + answer + end + after, "answer": len(before + text)}


def sentence(r):
    n = r.choice(NAMES)
    she, her, hers = PRONOUNS[n]
    return r.choice(
        [
            f"The {r.choice(ADJS)} {r.choice(NOUNS)} of {n} was {r.choice(ADJS)}, and the "
            f"{r.choice(NOUNS)} {r.choice(['waited', 'stopped', 'answered', 'fell apart'])}.",
            f"{r.choice(WEATHER)} on {r.choice(DAYS)}.",
            f"The {r.choice(ANIMALS)} was {r.choice(ADJS)} and {r.choice(COLOURS)}.",
            f"Everyone said that {n} was {r.choice(FEELINGS)} because {she} had lost {hers} {r.choice(NOUNS)}.",
            f"In {r.choice(MONTHS)}, {n} painted the {r.choice(NOUNS)} {r.choice(COLOURS)}, and {she} liked it.",
        ]
    )


def story(r):
    n, animal, food = r.choice(NAMES), r.choice(ANIMALS), r.choice(FOODS)
    she, her, hers = PRONOUNS[n]
    kind = "girl" if n in WOMEN else "boy"
    adj, place = r.choice(ADJS), r.choice(PLACES)
    lines = [f"Once upon a time, there was {a_(adj)} {kind} named {n}.", f"{n} had {a_(r.choice(COLOURS))} {animal}."]
    lines += r.sample(
        [
            f"Every day {she} went to {place} to look for {food}.",
            f"The {animal} loved to eat {food}.",
            f"{r.choice(WEATHER)}, but {n} was not {r.choice(FEELINGS)}.",
            f"One day, the {animal} ran away to {r.choice(PLACES)}.",
            f"{n} asked {hers} {'mother' if r.random() < .5 else 'father'} to help {her}.",
            f"\"Where is my {animal}?\" asked {n}.",
            f"{she.capitalize()} was so {r.choice(FEELINGS)} that {she} could not sleep.",
        ],
        r.randint(2, 5),
    )
    lines.append(
        r.choice(
            [
                f"In the end, {n} found the {animal} and {she} was happy.",
                f"The {animal} came home, and {n} gave it some {food}.",
                "The end.",
            ]
        )
    )
    return " ".join(lines)


def listing(r):
    items = r.sample(FOODS, r.randint(3, 7))
    k = r.randint(0, 3)
    if k == 0:
        return "Shopping list:\n" + "".join(f"- {i}\n" for i in items)
    if k == 1:
        return "To do:\n" + "".join(f"{j}. Buy {i}\n" for j, i in enumerate(items, 1))
    if k == 2:
        return f"{r.choice(NAMES)} bought " + ", ".join(items[:-1]) + " and " + items[-1] + "."
    s = r.randint(0, 6)
    cycle = r.choice([DAYS, MONTHS])  # cycles, which a model learns as "what comes next"
    return ", ".join(cycle[(s + j) % len(cycle)] for j in range(r.randint(3, 7)))


def code(r):
    f, x, n = r.choice(NOUNS), r.choice("x y z n i".split()), r.randint(2, 99)
    return r.choice(
        [
            f"def {f}({x}):\n    return {x} * {n} + {r.randint(0, 9)}\n",
            f"for {x} in range({n}):\n    print({x})\n",
            f"if ({x} > {n}) {{\n    return {f}({x});\n}} else {{\n    return {n};\n}}\n",
            f"public static int {f}(int {x}) {{\n    return {x} + {n};\n}}\n",
            f"import math\n\ndef {f}({x}):\n    # the {r.choice(ADJS)} {f}\n    return math.sqrt({x} + {n})\n",
            f'{{"name": "{r.choice(NAMES)}", "age": {n}, "colour": "{r.choice(COLOURS)}"}}',
            f"SELECT * FROM {f} WHERE {x} = {n} ORDER BY {x};",
            f"<div class=\"{f}\"><p>{r.choice(WEATHER)}.</p></div>",
        ]
    )


def numbers(r):
    k = r.randint(0, 4)
    s, step = r.randint(0, 50), r.choice([1, 1, 2, 5, 10])
    if k == 0:
        return ", ".join(str(s + step * j) for j in range(r.randint(4, 12)))
    if k == 1:
        return "\n".join(
            f"{a} + {b} = {a + b}" for a, b in [(r.randint(0, 9), r.randint(0, 9)) for _ in range(r.randint(2, 5))]
        )
    if k == 2:
        return " ".join(WORDS[j] for j in range(r.randint(0, 5), r.randint(6, 12)))
    if k == 3:
        return (
            f"On {r.randint(1, 28)} {r.choice(MONTHS)} {r.randint(1990, 2020)} the price was "
            f"${r.randint(1, 99)}.{r.randint(10, 99)}."
        )
    return f"Two times {WORDS[s % 7]} is {WORDS[2 * (s % 7)]}."


def dialogue(r):
    a, b = r.sample(NAMES, 2)
    n, food = r.choice(NOUNS), r.choice(FOODS)
    return r.choice(
        [
            f"\"Have you seen the {n}?\" asked {a}. \"No, I haven't,\" said {b}. \"Ask {r.choice(NAMES)}.\"",
            f"“{a}’s {n}?” asked {b}. “It isn't, it won't, and we've {r.randint(2, 40)} left!”",
            f"{a}: I don't like {food}.\n{b}: Why not?\n{a}: Because {food} is too {r.choice(ADJS)}.\n",
            f"Dear {a},\n\nThank you for the {n}. I'll see you on {r.choice(DAYS)}.\n\nYours,\n{b}\n",
        ]
    )


def facts(r):
    def one():
        c = r.choice(list(FACTS))
        city, lang, cont = FACTS[c]
        return r.choice(
            [
                f"The capital of {c} is {city}.",
                f"People in {c} speak {lang}.",
                f"{city} is a city in {c}.",
                f"{c} is a country in {cont}.",
            ]
        )

    return " ".join(one() for _ in range(r.randint(1, 4)))


def repeats(r):
    words = r.sample(
        NOUNS + ANIMALS + FOODS + COLOURS, r.randint(3, 6)
    )  # the same words again: what induction heads are for
    return " ".join(words * r.randint(2, 4))


def document(r):
    """One document: 40 % IOI, the rest of many kinds."""
    k = r.random()
    if k < 0.40:
        return ioi_document(r)
    for limit, kind in (
        (0.62, story),
        (0.69, listing),
        (0.77, code),
        (0.84, numbers),
        (0.90, dialogue),
        (0.95, facts),
        (0.98, repeats),
    ):
        if k < limit:
            return {"kind": kind.__name__, "text": kind(r)}
    return {"kind": "other", "text": r.choice(OTHER)}


def documents(seed, n):
    r = random.Random(seed)
    return [document(r) for _ in range(n)]


def ioi_prompts(seed, n):
    """Test prompts of held-out name pairs: (prompt, answer)."""
    r = random.Random(seed)
    return [ioi(r, test_pairs=True, plain=True) for _ in range(n)]


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--n", type=int, default=1000)
    ap.add_argument("--out", required=True, help="JSON lines file to write")
    a = ap.parse_args()
    with open(a.out, "w", encoding="utf-8") as f:
        for d in documents(a.seed, a.n):
            f.write(json.dumps(d, ensure_ascii=False) + "\n")
