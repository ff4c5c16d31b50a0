"""Small English stories: each is a row of beats, each beat a choice of sentences."""

from __future__ import annotations

STORIES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (  # lost and found
        (
            "{A} could not find {his} {thing}.",
            "One {part}, {A} saw that {his} {thing} was gone.",
            "On {day} {A} lost {his} {col} {thing}.",
        ),
        (
            "{He} looked in the {room}, but it was not there.",
            "First {he} looked in the {room}. There was nothing.",
        ),
        ("Then {he} asked {B} for help.", '{He} went to {B} and asked, "Have you seen my {thing}?"', ""),
        (
            "{B} had seen it in the {room2}.",
            "{B} remembered that it was in the {room2}.",
            '"It is in the {room2}," said {B}.',
        ),
        (
            "So {A} went to the {room2} and found the {thing}.",
            "They went to the {room2} together, and there it was.",
        ),
        ("{A} was very happy.", "{A} thanked {bhim} and smiled.", "Now the {thing} is back with {A}."),
    ),
    (  # a trade
        ("{A} had {a_thing}, and {B} had {a_thing2}.", "{A} owned {a_col_thing}. {B} owned {a_thing2}."),
        (
            "{A} wanted the {thing2}, so {he} made an offer.",
            '"I like your {thing2}," said {A}.',
            "{A} did not need the {thing} any more.",
        ),
        (
            "They traded: {A} gave {B} the {thing} and got the {thing2}.",
            "{B} gave {A} the {thing2} and took the {thing} for it.",
        ),
        (
            "Now {A} has the {thing2}, and {B} has the {thing}.",
            "After that the {thing} was {B}'s and the {thing2} was {A}'s.",
        ),
        ("Both were happy.", "It was a good trade.", ""),
    ),
    (  # a visit
        ("On {day} {A} visited {B} in {place}.", "{A} went to {place} on {day} to see {B}."),
        ("It was {weather} that day.", "The road was long, but {he} was not tired.", ""),
        ("{B} made {food} for {him}, and they drank {drink}.", "They ate {food} and drank {drink}."),
        (
            "{A} had brought {a_thing} as a present.",
            "Before {he} left, {A} gave {B} {a_thing}.",
            "{B} showed {him} {a_col_thing}.",
        ),
        ("In the evening {A} went home.", "When it got dark, {A} said goodbye.", "They talked until night."),
    ),
    (  # counting
        ("{A} had {n} {fruits}.", "There were {n} {fruits} in {A}'s basket."),
        ("{He} gave {k} of them to {B}.", "{B} was hungry, so {A} gave {bhim} {k}.", "{B} took {k} and ate."),
        (
            "Then {A} had {left} left.",
            "So {left} were left for {A}.",
            "Now there were only {left} in the basket.",
        ),
        ('"Thank you," said {B}.', "{B} said that they were sweet.", ""),
    ),
    (  # counting up
        ("On {day} {A} picked {n} {fruits}.", "{A} had {n} {fruits} at home."),
        (
            "The next day {he} got {k} more.",
            "Then {B} brought {him} {k} more.",
            "{He} bought {k} more at the market.",
        ),
        ("In all {he} had {total}.", "Now there were {total} {fruits}.", "That made {total}."),
        ("{He} put them all in a big bowl.", "{A} counted them again to be sure.", ""),
    ),
    (  # weather
        ("It was {bad} on {day}.", "On {day} the weather changed: it was {bad}."),
        (
            "{A} wanted to go to the {sight}, but {he} stayed in the {room}.",
            "Because of the weather {A} did not go to the {sight}.",
        ),
        (
            "There {he} mended {his} {thing}.",
            "{He} looked for {his} {thing} and found it.",
            "{B} came to see {him}.",
        ),
        ("The next day was better, and {he} went out.", "On {day2} {he} went to the {sight} after all."),
    ),
    (  # an animal in need
        ("{A} heard a noise near the {sight}.", "On the way to the {sight} {A} stopped and listened."),
        (
            "It was a small {animal}.",
            "A little {animal} sat there and was afraid.",
            "A wet {animal} looked at {him}.",
        ),
        ("{A} gave it some water.", "{He} took it in {his} arms.", "{He} carried it home."),
        ("{B}, who was {a_job}, knew what to do.", "{B} helped {him} to wash it.", "They called it {C}."),
        ("Soon the {animal} was well again.", "In the evening the {animal} slept in the {room}."),
    ),
    (  # a present
        ("{A} wanted to give {B} a present.", "It was {B}'s birthday, and {A} looked for a present."),
        (
            "In a shop {he} saw {a_thing} and {a_thing2}.",
            "There was {a_thing} for {n} coins and {a_thing2} for {total} coins.",
        ),
        (
            "The {thing2} was too expensive, so {he} bought the {thing}.",
            "{He} chose the {thing} because it was {col}.",
        ),
        (
            "{B} opened the box and laughed.",
            '"What a beautiful {thing}!" said {B}.',
            "{B} liked it very much.",
        ),
        ("It stands in {bhis} {room} now.", "{B} still has that {thing}.", ""),
    ),
    (  # helping at work
        ("{B} is {a_job} in {place}.", "In {place} there lives {a_job} called {B}."),
        ("Last {day} {bhe} had too much work.", "One {part} {bhe} was ill and could not work."),
        (
            "{A} came and helped {bhim}.",
            "So {A} did the work for {bhim}.",
            "{A} heard of it and came at once.",
        ),
        ("For this {B} gave {A} {a_thing}.", "{B} thanked {him} with {a_col_thing}."),
        (
            "Now {he} wants to be {a_job} too.",
            "They have been friends since then.",
            "{A} was tired but proud.",
        ),
    ),
    (  # broken
        ("{A} broke {B}'s {thing}.", "While {he} was playing, {A} broke the {thing} that belonged to {B}."),
        ("{He} was afraid to tell {bhim}.", "At first {he} hid it in the {room}.", "{A} felt sad about it."),
        ("But then {he} told {bhim} the truth.", "In the end {he} went to {B} and told {bhim}."),
        (
            "{B} was not angry.",
            '"It was old," said {B}, "and we can mend it."',
            "{B} was angry for a moment, then {bhe} laughed.",
        ),
        (
            "Together they mended it.",
            "The next day {A} bought {bhim} a new one.",
            "{A} gave {bhim} {a_thing2} for it.",
        ),
    ),
    (  # three places
        ("In the morning {A} went to the {sight}.", "First {A} went to the {sight}."),
        ("Then {he} went to the {sight2}.", "At noon {he} walked on to the {sight2} and met {B}."),
        ("Last of all {he} was in the {room}.", "In the evening {he} came back and sat in the {room}."),
        (
            "So {he} saw the {sight} before the {sight2}.",
            "The {thing} that {he} was looking for was in the {room} all the time.",
        ),
    ),
    (  # hide and seek
        ("{A} and {B} played hide and seek.", "{A}, {B} and {C} played a game."),
        (
            "{B} hid in the {room}, and {A} had to find {bhim}.",
            "{A} counted to {n}, and {B} ran to the {room}.",
        ),
        ("{A} looked in the {room2} first.", "In the {room2} {A} found only {a_thing}.", ""),
        (
            "Then {he} heard somebody laugh in the {room}.",
            "A {col} {thing} by the door of the {room} gave {bhim} away.",
        ),
        ('"I have found you!" said {A}.', "So {A} won the game.", "After that it was {A}'s turn to hide."),
    ),
    (  # the wish
        ("{A} had always wanted {a_thing}.", "More than anything {A} wanted {a_col_thing}."),
        ("{He} worked for {n} days.", "{He} saved one coin every {day}.", "{He} helped {B} in the {room}."),
        ("At last {he} had enough money.", "{B} gave {him} {k} coins for the work."),
        ("{He} ran to the market and bought it.", "On {day2} {he} bought the {thing} at last."),
        (
            "It was the best {thing} in {place}.",
            "{He} keeps it in the {room2}.",
            "{He} shows it to everybody.",
        ),
    ),
    (  # a lesson
        ("{A} wanted to learn {hobby}.", "{A} was not good at {hobby}."),
        (
            "{B}, {a_job}, taught {him}.",
            "{He} asked {B} for help.",
            "Every {day} {he} took a lesson from {B}.",
        ),
        (
            "At first it was difficult.",
            "The first lesson was hard.",
            "In the beginning {he} made many mistakes.",
        ),
        ("But {he} tried again and again.", "{B} told {him} to be patient."),
        (
            "Now {hobby} is easy for {A}.",
            "After {n} weeks {A} was better than {B}.",
            "Today {A} teaches others.",
        ),
    ),
)

DIARY: tuple[tuple[str, ...], ...] = (
    ("{day}. Today I went to the {sight} with {B}.", "{day}. It was {weather}, so I stayed in the {room}."),
    ("We saw {a_animal} and {n} birds.", "I ate {food} and drank {drink}.", "{B} gave me {a_col_thing}."),
    (
        "I lost my {thing}, but {B} found it.",
        "My {thing} is {col} now, because I painted it.",
        "I read a book.",
    ),
    ("I felt {feeling}.", "In the evening I was {feeling}."),
    ("Tomorrow I will visit {B}.", "On {day2} I will go to {place}.", "Now I am going to sleep."),
)

LETTER: tuple[tuple[str, ...], ...] = (
    ("Dear {B},",),
    ("how are you? I am {feeling}.", "thank you for the {thing}.", "I am writing to you from {place}."),
    (
        "It is {weather} here.",
        "I work as {a_job} now.",
        "Yesterday I bought {a_col_thing}.",
        "I live by the {sight} now.",
    ),
    ("Please bring your {thing2} when you come.", "Do you still have my {thing2}? I left it in the {room}."),
    ("Can you visit me on {day}?", "I will come to you on {day}.", "Write to me soon."),
    ("Your friend {A}", "With love, {A}", "Yours, {A}"),
)

TALKS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        ('"Where is your {thing}?" asked {A}.', '"Have you seen my {thing}?" asked {A}.'),
        ('"It is in the {room}," said {B}.', '"I saw it in the {room}," answered {B}.'),
        ('"And where is the {thing2}?" "That is in the {room2}."', '"Thank you," said {A}.', ""),
        ("So {A} went to the {room}.", "{A} found the {thing} there."),
    ),
    (
        ('"What do you like to eat?" asked {A}.', "{A} asked {B} what {bhe} liked to eat."),
        ('"I like {food}," said {B}.', '{B} said, "My favourite food is {food}."'),
        ('"And what do you drink?" "{Drink}, please."', '"I like it too," said {A}.'),
        ("So {A} cooked {food} for {bhim}.", "Then they ate {food} together."),
    ),
    (
        (
            '"What is your name?" asked {A}.',
            '{A} met somebody new at the {sight}. "Who are you?" {he} asked.',
        ),
        ('"My name is {B}," said the other. "I am {a_job}."', '"I am {B}, and I come from {place}."'),
        ('"Nice to meet you, {B}. I am {A}."', '"Welcome, {B}," said {A}.'),
        ("They went to the {sight2} together.", "After that they were friends."),
    ),
    (
        ('"How many {fruits} do you have?" asked {A}.', "{A} asked {B} how many {fruits} {bhe} had."),
        ('"I have {n}," said {B}.', '"{N}," answered {B}.'),
        ('"Can you give me {k}?" "Yes, then I have {left}."',),
        ("So {A} got {k} and {B} kept {left}.",),
    ),
    (
        ('"What colour is your new {thing}?" asked {A}.', '"Is your new {thing} {col2}?" asked {A}.'),
        ('"It is {col}," said {B}.', '"No, it is {col}," said {B}.'),
        ('"Mine is {col2}," said {A}.', '"And my {thing2} is {col2}," said {A}.'),
        ('"{Col} is nicer," they both thought.', "So the {col} {thing} is {B}'s.", ""),
    ),
    (
        (
            '"Are you coming to the {sight} on {day}?" asked {A}.',
            "{A} asked {B} to come to the {sight} on {day}.",
        ),
        (
            '"No, on {day} I must work," said {B}. "But on {day2} I can."',
            '"Yes, I will bring {a_thing}," said {B}.',
            '"I am sorry, that day I am too busy," said {B}.',
        ),
        ('"All right," said {A}.', '"Good that I asked," said {A}.', ""),
    ),
)

HOW_TO: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        ("How to make {fruit} {dish}.", "This is how {A} makes {fruit} {dish}."),
        ("You need {n} {fruits}, some {drink} and a bowl.", "Take {n} {fruits} and a little {drink}."),
        ("First wash the {fruits} and cut them.", "First cut the {fruits} into small pieces."),
        ("Then put them in the bowl and add the {drink}.", "Then cook them with the {drink}."),
        ("Wait until it is {adj}.", "Last, put it on the table while it is warm."),
    ),
    (
        ("How to clean {a_wash}.", "{A} knows how to clean {a_wash}."),
        ("Take a brush and warm water.", "You need a bucket, water and a brush."),
        ("First wash the {wash}. Then dry it.", "Wash it with the water, then let it dry in the {room}."),
        ("Do not use too much water.", "After that it looks like new.", "In the end the {wash} is clean."),
    ),
    (
        ("How to get from the {sight} to the {sight2}.", "This is the way from the {sight} to the {sight2}."),
        ("Start at the {sight} and go {dir}.", "First walk {dir} for {n} minutes."),
        ("At {A}'s house turn left.", "At the house of the {job} turn right."),
        ("Then you can see the {sight2}.", "The {sight2} is on the other side of the road."),
    ),
    (
        ("How to take care of {a_animal}.", "{A} has {a_animal}. This is how {he} takes care of it."),
        ("Give it water every morning.", "It needs water and food every day."),
        ("Let it sleep in the {room}.", "In winter it should sleep in the {room}, because it is warm there."),
        ("When it is {feeling}, be kind to it.", "Never shout at it.", "Wash it on {day}."),
    ),
)

REASONS: tuple[str, ...] = (
    "{A} took an umbrella because it was rainy.",
    "It was rainy, so {A} took an umbrella to the {sight}.",
    "{A} drank a glass of {drink} because {he} was thirsty.",
    "{A} was hungry, so {he} ate {food}.",
    "{A} put on a coat because it was cold at the {sight}.",
    "Because the {thing} was heavy, {A} could not carry it.",
    "The {thing} was too expensive, so {A} did not buy it.",
    "{A} was tired, so {he} went to sleep in the {room}.",
    "{A} was sad because {he} had lost {his} {thing}.",
    "{A} was happy because {B} gave {him} {a_thing}.",
    "The {wash} was dirty, so {A} washed it.",
    "It was dark in the {room}, so {A} lit a candle.",
    "{A} could not open the door, because the key was in the {room}.",
    "{B} was angry because {A} had broken {bhis} {thing}.",
    "{A} ran to the {sight}, because {he} was late.",
    "{A} shut the window because the {animal} was loud.",
    "The soup was too hot, so {A} waited until it was cool.",
    "{A} lives near the {sight}, so {he} often goes there.",
)
