"""What is asked about programs, in many phrasings. The last two of each list are kept to be unseen."""

from __future__ import annotations

from bottega.data.school.registry import Language

# {f} the function's call form, {s} the sentence that describes it, {code} a program, {call} a call of it.
WRITE: dict[Language, tuple[str, ...]] = {
    "en": (
        "Write a Python function {f}. {s}",
        "Write {f} in Python. {s}",
        "I need a Python function {f}. {s}",
        "Please write this function: {f}. {s}",
        "Can you write {f} for me? {s}",
        "{s} Write this as a Python function {f}.",
        "Implement {f}. {s}",
        "Give me the code of {f}. {s}",
        "Here is what {f} should do: {s} Write it, please.",
        "Program {f} in Python: {s}",
        "Could you code up {f}? {s}",
    ),
    "zh": (
        "写一个Python函数{f}。{s}",
        "用Python写出{f}。{s}",
        "我需要一个Python函数{f}。{s}",
        "请写出这个函数：{f}。{s}",
        "能帮我写{f}吗？{s}",
        "{s}请写成Python函数{f}。",
        "实现{f}。{s}",
        "给我{f}的代码。{s}",
        "{f}要做的事是：{s}请写出来。",
        "用Python编程实现{f}：{s}",
        "帮忙写一下{f}的代码，好吗？{s}",
    ),
}
OUTPUT: dict[Language, tuple[str, ...]] = {
    "en": (
        "What does this print?\n\n{code}",
        "What is the output of this program?\n\n{code}",
        "{code}\n\nWhat does this code print?",
        "Tell me what this program prints.\n\n{code}",
        "{code}\n\nWhat is printed?",
        "What will this code print?\n\n{code}",
        "Give the output of this code.\n\n{code}",
        "Read this program and give its output.\n\n{code}",
        "If I run this, what do I see?\n\n{code}",
        "{code}\n\nWhich output does this produce?",
    ),
    "zh": (
        "这段代码会输出什么？\n\n{code}",
        "下面程序的输出是什么？\n\n{code}",
        "{code}\n\n这段代码打印什么？",
        "告诉我这个程序会打印什么。\n\n{code}",
        "{code}\n\n输出是什么？",
        "运行这段代码会打印什么？\n\n{code}",
        "给出这段代码的输出。\n\n{code}",
        "读一读这个程序，写出它的输出。\n\n{code}",
        "如果我运行它，会看到什么？\n\n{code}",
        "{code}\n\n它会产生什么输出？",
    ),
}
FILL: dict[Language, tuple[str, ...]] = {
    "en": (
        "Complete the missing line.\n\n{code}",
        "Which line belongs where the dots are?\n\n{code}",
        "Fill in the line marked with dots.\n\n{code}",
        "{code}\n\nOne line is missing where the dots are. Write it.",
        "Write the line that is missing here.\n\n{code}",
        "{code}\n\nReplace the dots with the right line.",
        "Finish this function: what goes in place of the dots?\n\n{code}",
        "{code}\n\nPlease fill the gap.",
    ),
    "zh": (
        "补全缺少的那一行。\n\n{code}",
        "省略号的位置应该是哪一行？\n\n{code}",
        "填写用省略号标出的那一行。\n\n{code}",
        "{code}\n\n省略号处少了一行，请写出来。",
        "写出这里缺少的一行。\n\n{code}",
        "{code}\n\n把省略号换成正确的一行。",
        "把这个函数写完：省略号处该写什么？\n\n{code}",
        "{code}\n\n请填空。",
    ),
}
EXPLAIN: dict[Language, tuple[str, ...]] = {
    "en": (
        "Explain this function in one sentence.\n\n{code}",
        "What does this function do?\n\n{code}",
        "{code}\n\nSay in one sentence what this does.",
        "Describe this function.\n\n{code}",
        "{code}\n\nWhat is this function for?",
        "In one sentence, what does this code do?\n\n{code}",
        "{code}\n\nPlease explain.",
        "Tell me what this function is good for.\n\n{code}",
        "{code}\n\nI do not understand this. What does it do?",
    ),
    "zh": (
        "用一句话解释这个函数。\n\n{code}",
        "这个函数做什么？\n\n{code}",
        "{code}\n\n用一句话说说它做什么。",
        "描述一下这个函数。\n\n{code}",
        "{code}\n\n这个函数有什么用？",
        "一句话说明这段代码的作用。\n\n{code}",
        "{code}\n\n请解释一下。",
        "告诉我这个函数是干什么的。\n\n{code}",
        "{code}\n\n我看不懂，它做什么？",
    ),
}
FIX: dict[Language, tuple[str, ...]] = {
    "en": (
        "Fix the bug. Give only the corrected line.\n\n{code}",
        "This function has a bug. Write the line as it should be.\n\n{code}",
        "{code}\n\nOne line is wrong. What should it be?",
        "Find the mistake and write the correct line.\n\n{code}",
        "{code}\n\nThis does not do what its docstring says. Correct the wrong line.",
        "Which line is wrong here? Answer with the right one.\n\n{code}",
        "{code}\n\nPlease repair it: just the one line.",
        "Something is off in this code. Give me the corrected line.\n\n{code}",
    ),
    "zh": (
        "修正错误，只写改正后的那一行。\n\n{code}",
        "这个函数有一个错误，请写出正确的那一行。\n\n{code}",
        "{code}\n\n有一行写错了，应该怎么写？",
        "找出错误，写出正确的一行。\n\n{code}",
        "{code}\n\n它和文档说的不一样，请改正错的那一行。",
        "哪一行错了？用正确的一行回答。\n\n{code}",
        "{code}\n\n请修好它，只写那一行。",
        "这段代码有点问题，给我改好的那一行。\n\n{code}",
    ),
}
DOCUMENT: dict[Language, tuple[str, ...]] = {
    "en": (
        "Add a docstring.\n\n{code}",
        "Write a docstring for this function.\n\n{code}",
        "{code}\n\nPlease add a docstring.",
        "Document this function with one sentence.\n\n{code}",
        "{code}\n\nThis needs a docstring.",
        "Put a docstring into this function.\n\n{code}",
        "{code}\n\nCould you document this?",
        "This function has no docstring. Give it one.\n\n{code}",
    ),
    "zh": (
        "加上文档字符串。\n\n{code}",
        "给这个函数写文档字符串。\n\n{code}",
        "{code}\n\n请加上文档字符串。",
        "用一句话给这个函数写文档。\n\n{code}",
        "{code}\n\n这里需要文档字符串。",
        "在函数里写上文档字符串。\n\n{code}",
        "{code}\n\n能写上说明吗？",
        "这个函数没有文档字符串，请补上。\n\n{code}",
    ),
}
SHORTEN: dict[Language, tuple[str, ...]] = {
    "en": (
        "Rewrite this loop as a comprehension.\n\n{code}",
        "Use a comprehension in place of the loop.\n\n{code}",
        "{code}\n\nTurn the loop into a comprehension.",
        "Write this function without a loop statement.\n\n{code}",
        "{code}\n\nMake it shorter with a comprehension.",
        "Translate this loop to a comprehension.\n\n{code}",
        "{code}\n\nCan this be a comprehension?",
        "Do the same with a comprehension.\n\n{code}",
    ),
    "zh": (
        "把这个循环改写成推导式。\n\n{code}",
        "用推导式代替循环。\n\n{code}",
        "{code}\n\n把循环变成推导式。",
        "不用循环语句，重写这个函数。\n\n{code}",
        "{code}\n\n用推导式写得短一些。",
        "请把循环翻译成推导式。\n\n{code}",
        "{code}\n\n能写成推导式吗？",
        "用推导式做同样的事。\n\n{code}",
    ),
}
TRACE: dict[Language, tuple[str, ...]] = {
    "en": (
        "Go through {call} step by step.\n\n{code}",
        "What happens in {call}? Show every round.\n\n{code}",
        "{code}\n\nTrace {call}.",
        "Follow the call {call} round by round.\n\n{code}",
        "{code}\n\nShow step by step what {call} does.",
        "Work through {call} by hand.\n\n{code}",
        "{code}\n\nWalk me through {call}.",
        "Execute {call} on paper, please.\n\n{code}",
    ),
    "zh": (
        "一步一步执行{call}。\n\n{code}",
        "{call}会发生什么？写出每一轮。\n\n{code}",
        "{code}\n\n跟踪{call}的执行。",
        "一轮一轮地跟踪调用{call}。\n\n{code}",
        "{code}\n\n一步一步写出{call}做了什么。",
        "手工执行{call}。\n\n{code}",
        "{code}\n\n带我走一遍{call}。",
        "请在纸上运行{call}。\n\n{code}",
    ),
}
TEST: dict[Language, tuple[str, ...]] = {
    "en": (
        "Write one test for this function.\n\n{code}",
        "{code}\n\nWrite an assert that tests this.",
        "Give me an assertion for this function.\n\n{code}",
        "{code}\n\nAdd a test line.",
        "How would you test this? One assert is enough.\n\n{code}",
        "{code}\n\nPlease write a single test.",
        "I want a test of this function.\n\n{code}",
        "{code}\n\nCheck it with one assert.",
    ),
    "zh": (
        "给这个函数写一个测试。\n\n{code}",
        "{code}\n\n写一个断言来测试它。",
        "给我一条这个函数的断言。\n\n{code}",
        "{code}\n\n加一行测试。",
        "怎么测试它？一条断言就够了。\n\n{code}",
        "{code}\n\n请只写一个测试。",
        "我想要这个函数的测试。\n\n{code}",
        "{code}\n\n用一条断言检查它。",
    ),
}
