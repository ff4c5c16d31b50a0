"""How one asks in English: for each task its cores, and the frames and layouts that cores are put in.

A core is a request without capital and full stop ("reverse {it}") or a question ("what is the opposite of {x}?"); ``{it}``
is the list, or what an earlier step left. Training uses ``SEEN`` and ``MORE`` cores and frames; what is asked in known words
uses ``SEEN`` alone, and ``UNSEEN`` ones are for evaluation only.
"""

# ruff: noqa: E501 (tables of wordings; a Chinese character counts double)
from __future__ import annotations

Cores = dict[str, tuple[str, ...]]

SEEN: Cores = {
    "reverse": (
        "reverse {it}",
        "put {it} in the opposite order",
        "write {it} backwards, last one first",
        "turn the order of {it} around",
    ),
    "sort": ("sort {it} from small to large", "put {it} in rising order", "order {it} from the smallest to the largest"),
    "alphabet": ("sort {it} alphabetically", "put {it} in alphabetical order", "order {it} from A to Z"),
    "drop-first": ("leave out the first of {it}", "remove the first of {it}", "take away the first of {it}"),
    "drop-last": ("leave out the last of {it}", "remove the last of {it}", "take away the last of {it}"),
    "swap": ("swap the first and the last of {it}", "let the first and the last of {it} change places"),
    "keep-two": ("keep only the first two of {it}", "take just the first two of {it}", "cut {it} down to the first two"),
    "add": ("add {w} at the end of {it}", "put {w} after the last of {it}", "append {w} to {it}"),
    "replace": ("replace {x} with {w} in {it}", "put {w} in place of {x} in {it}", "change {x} to {w} in {it}"),
    "without": ("remove {x} from {it}", "take {x} out of {it}", "leave {x} out of {it}"),
    "animals": ("keep only the animals among {it}", "pick the animals out of {it}", "choose the animals from {it}"),
    "twice": ("write each of {it} twice", "say every one of {it} two times", "double each of {it}"),
    "dashes": ("join {it} with dashes", "put dashes between {it}", "connect {it} with dashes"),
    "slashes": ("separate {it} with slashes", "put slashes between {it}", "join {it} with slashes"),
    "plus": ("join {it} with plus signs", "put plus signs between {it}", "connect {it} with plus signs"),
    "json": ("write {it} as a JSON list", "give {it} as a JSON array", "format {it} as JSON"),
    "lines": ("put each of {it} on its own line", "write {it} one per line", "start a new line for each of {it}"),
    "numbered": ("number {it} line by line", "make a numbered list of {it}", "write {it} as a numbered list"),
    "and": ("write {it} as a phrase with \"and\"", "join {it} with commas and a final \"and\"", "list {it} with \"and\" before the last"),
    "brackets": ("put each of {it} in brackets", "write {it} with brackets around each", "wrap each of {it} in brackets"),
    "capitals": ("write {it} in capital letters", "turn {it} into capitals", "put {it} in upper case"),
    "count": ("count {it}", "say how many there are in {it}", "give the number of words in {it}"),
    "first": ("name the first of {it}", "give me the first of {it}", "pick the first of {it}", "show only the first of {it}"),
    "last": ("name the last of {it}", "give me the last of {it}", "pick the last of {it}", "show only the last of {it}"),
    "nth": ("name the {nth} of {it}", "give me the {nth} of {it}", "pick number {n} of {it}"),
    "odd": ("find the odd one out", "say which word does not belong with the others", "name the word that does not fit"),
    "contains": ("say whether {x} is in the list", "check if the list has {x} in it", "tell me if {x} is one of the words"),
    "largest": ("name the largest number", "give me the biggest of the numbers", "find the highest number"),
    "opposite": ("give the opposite of {x}", "say the opposite of {x}", "name a word that means the opposite of {x}",
                 "what is the opposite of {x}?", "which word is the opposite of {x}?", "what do you call something that is not {x}?"),
    "plural": ("give the plural of {x}", "write {x} in the plural", "make {x} plural",
               "what is the plural of {x}?", "one {x}, but two what?"),
    "past": ("give the past tense of {x}", "put {x} in the past tense", "write the past form of {x}", "what is the past tense of {x}?"),
    "comparative": ("give the comparative of {x}", "write the comparative form of {x}", "what is the comparative of {x}?"),
    "category": ("name the category of {x}", "say what kind of thing {a_x} is", "give the group that {x} belongs to",
                 "what kind of thing is {a_x}?", "which category does {x} belong to?", "what is {a_x}?"),
    "translate": ("translate {x} into Chinese", "give the Chinese word for {x}", "say {x} in Chinese",
                  "what is {x} in Chinese?", "how do you say {x} in Chinese?", "what is the Chinese word for {x}?"),
    "young": ("name the young of {a_x}", "give the word for a young {x}", "what is a young {x} called?", "what do you call a baby {x}?"),
    "sound": ("name the sound of {a_x}", "say what sound {a_x} makes", "what does {a_x} say?", "what sound does {a_x} make?"),
    "next-day": ("name the day after {x}", "say which day follows {x}", "what day comes after {x}?", "which day follows {x}?"),
    "bigger": ("name the bigger one: {x} or {w}", "say which is bigger, {a_x} or {a_w}",
               "which is bigger, {a_x} or {a_w}?", "what is larger: {x} or {w}?"),
    "repeat": ("repeat the word {x} {n} times", "write {x} {n} times", "say {x} {n} times"),
    "copy": ("repeat this sentence", "write this sentence again", "copy this text exactly"),
    "read": ("answer the question", "read the text and answer the question", "use the text to answer the question"),
    "truth": ("say if the sentence is true", "check the sentence against the text", "read the text and say whether the sentence is true"),
    "reason": ("answer yes or no and quote the sentence that shows it", "say yes or no, then give the sentence that proves it"),
    "people": ("list the people in the text", "name everybody in the text", "write the names of all people in the text"),
    "how-many-people": ("count the people in the text", "say how many people the text names"),
}  # fmt: skip

MORE: Cores = {
    "first": ("take the first of {it} and nothing else", "copy the first of {it}", "what is the first of {it}?", "which of {it} stands at the front?"),
    "last": ("take the last of {it} and nothing else", "copy the last of {it}", "what is the last of {it}?", "which of {it} stands at the end?"),
    "opposite": ("write the word that is the reverse of {x}", "think of the opposite of {x} and write it", "turn {x} into its opposite",
                 "if it is not {x}, what is it?", "what is the reverse of {x}?", "{x} and its opposite: what is the second word?"),
    "category": ("classify {x}", "put {x} in its category", "write the category that {x} is in",
                 "{a_x} is a kind of what?", "in which group of things is {a_x}?", "{x}: what kind of thing?"),
    "translate": ("write {x} in Chinese", "turn {x} into Chinese", "give me {x} in Chinese",
                  "what do people in China call {x}?", "which Chinese word means {x}?", "{x} in Chinese?", "what would {x} be in Chinese?"),
    "read": ("read this and answer", "give the answer that the text gives", "answer from the text", "say what the text says about this"),
    "count": ("write how many there are in {it}", "how many are there in {it}?"),
    "reverse": ("write {it} from the end to the beginning", "reverse the order of {it}"),
    "capitals": ("write {it} with capital letters only", "make {it} all capitals"),
    "animals": ("take the animals from {it}", "write down the animals in {it}"),
}  # fmt: skip

UNSEEN: Cores = {
    "reverse": ("list {it} from last to first", "flip {it} around"),
    "sort": ("arrange {it} so that the smallest comes first",),
    "alphabet": ("arrange {it} as in a dictionary",),
    "drop-first": ("give {it} without the first",),
    "drop-last": ("give {it} without the last",),
    "swap": ("exchange the first and the last of {it}",),
    "keep-two": ("give me no more than the first two of {it}",),
    "add": ("let {w} follow the last of {it}",),
    "replace": ("use {w} instead of {x} in {it}",),
    "without": ("give {it} without {x}",),
    "animals": ("show me which of {it} are animals",),
    "twice": ("repeat each of {it} once more",),
    "dashes": ("use dashes to join {it}",),
    "slashes": ("use slashes to separate {it}",),
    "plus": ("use plus signs to join {it}",),
    "json": ("turn {it} into a JSON list",),
    "lines": ("give every one of {it} a line of its own",),
    "numbered": ("show {it} on numbered lines",),
    "and": ("make a phrase of {it} with an \"and\" at the end",),
    "brackets": ("use brackets around each of {it}",),
    "capitals": ("use only capital letters for {it}",),
    "count": ("find out how many words {it} are", "tell me the number of words"),
    "first": ("tell me which of {it} comes first", "say the word that begins the list"),
    "last": ("tell me which of {it} comes last", "say the word that ends the list"),
    "nth": ("tell me which of {it} is the {nth}",),
    "odd": ("tell me which word is the stranger here",),
    "contains": ("look for {x} in the list and tell me if it is there",),
    "largest": ("tell me which number is the greatest",),
    "opposite": ("tell me the contrary of {x}", "{x} is the opposite of which word?", "find a word with the opposite meaning of {x}"),
    "plural": ("tell me how to write more than one {x}", "how do you write {x} when there are many?"),
    "past": ("tell me what {x} becomes in the past", "today I {x}, and yesterday I did what?"),
    "comparative": ("tell me the form of {x} that goes before \"than\"",),
    "category": ("tell me what sort of thing {a_x} is", "to which group does {a_x} belong?", "what would you call {a_x}: which kind?"),
    "translate": ("tell me how the Chinese say {x}", "I need {x} in Chinese, what is it?", "put {x} into Chinese"),
    "young": ("tell me the name for the child of {a_x}",),
    "sound": ("tell me what one hears from {a_x}",),
    "next-day": ("tell me what comes when {x} is over",),
    "bigger": ("tell me which has the greater size, {x} or {w}",),
    "repeat": ("give me {x}, {n} times over",),
    "copy": ("give me the same sentence back",),
    "read": ("look into the text and tell me", "find the answer in the text"),
    "truth": ("tell me if the text agrees with the sentence",),
    "reason": ("decide yes or no, and show me the sentence",),
    "people": ("tell me who is named in the text",),
    "how-many-people": ("tell me the number of people in the text",),
}  # fmt: skip

# Frames for requests: {do} is the core, {Do} the core with a capital.
FRAMES = (
    "{Do}.",
    "{Do}.",
    "Please {do}.",
    "Can you {do}?",
    "Could you please {do}?",
    "I want you to {do}.",
    "I would like you to {do}.",
    "{Do}, please.",
    "Your task is to {do}.",
    "Now {do}.",
)
MORE_FRAMES = (
    "Would you {do}?",
    "Next, {do}.",
    "The task: {do}.",
    "Do the following: {do}.",
    "Try to {do}.",
    "My request: {do}.",
)
UNSEEN_FRAMES = (
    "Help me: {do}.",
    "Be so kind and {do}.",
    "I need you to {do} for me.",
    "Here is what I want: {do}.",
)
# Frames for questions: {ask} begins small, {Ask} with a capital; both end in a question mark.
QUESTION_FRAMES = ("{Ask}", "{Ask}", "{Ask}", "Tell me: {ask}", "A question: {ask}", "I want to know: {ask}")
MORE_QUESTION_FRAMES = (
    "Question: {ask}",
    "Please answer: {ask}",
    "My question: {ask}",
    "One more question: {ask}",
    "So, {ask}",
)
UNSEEN_QUESTION_FRAMES = ("Maybe you know this: {ask}", "Say, {ask}", "I have been wondering: {ask}")
# Layouts of request and data. {bare} is the request without its final full stop.
LAYOUTS = ("{ask}\n{data}", "{data}\n{ask}", "{bare}: {data}", "{ask}\n\n{data}")
MORE_LAYOUTS = (
    "List: {data}\n{ask}",
    "{ask}\nInput: {data}",
    "{ask} {data}",
    '"{data}"\n{ask}',
    "{bare} ({data})",
)
UNSEEN_LAYOUTS = ("Here: {data}\n{ask}", "{ask}\nThe words: {data}")
THE_LIST = ("the list", "the words", "these words", "the list")
THE_NUMBERS = ("the list", "the numbers", "these numbers")
THEM = ("the result", "them", "what is left")
THEN = ("{one}, then {two}", "first {one}, then {two}", "{one} and then {two}", "{one}; after that {two}")
UNSEEN_THEN = ("{one}, and when you are done, {two}",)
# Layouts of a text with a question about it.
TEXT_LAYOUTS = ("{text}\n{question}", "{text}\n\n{ask}\n{question}", "{ask}\nText: {text}\nQuestion: {question}",
                "Text: {text}\n{question}", "{question}\n{text}", "{ask}: {question}\n{text}")  # fmt: skip
MORE_TEXT_LAYOUTS = ("\"{text}\"\n{question}", "{text} {question}", "Question: {question}\nText: {text}",
                     "{question}\n\n{ask}\n{text}", "Passage: {text}\nQ: {question}", "{text}\n{ask}\n{question}")  # fmt: skip
UNSEEN_TEXT_LAYOUTS = ('I read this: "{text}" Now tell me: {question}', "{text} {ask}: {question}")
STYLES = {
    "one-word": ("Answer in one word.", "Use only one word.", "One word is enough."),
    "capitals": ("Answer in capital letters.", "Write the answer in capitals."),
    "quotes": ("Put the answer in quotes.", "Answer in quotation marks."),
    "brackets": ("Put the answer in brackets.", "Write the answer in brackets."),
    "twice": ("Write the answer twice.", "Say the answer two times."),
}
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
