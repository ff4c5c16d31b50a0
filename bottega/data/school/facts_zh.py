"""How Chinese states a fact, takes it up again, asks for it and answers."""

from __future__ import annotations

SAY: dict[str, tuple[str, ...]] = {
    "has": (
        "{who}有一{m}{value}的{thing}。",
        "{who}的{thing}是{value}的。",
        "那{m}{value}的{thing}是{who}的。",
        "这里有一{m}{value}的{thing}，是{who}的。",
        "{who}有一{m}{thing}，颜色是{value}。",
    ),
    "kept": (
        "{who}的{thing}在{value}里。",
        "{who}把{thing}放在{value}里。",
        "{who}把自己的{thing}留在了{value}里。",
        "{value}里有一{m}{thing}，是{who}的。",
    ),
    "at": (
        "{who}在{value}里。",
        "{who}正在{value}里坐着。",
        "{who}走进{value}，还没有出来。",
        "你可以在{value}里找到{who}。",
    ),
    "job": (
        "{who}是一名{value}。",
        "{who}的工作是{value}。",
        "{who}很早就当了{value}。",
        "那位{value}叫{who}。",
    ),
    "eats": (
        "{who}喜欢吃{value}。",
        "{who}每天都吃{value}。",
        "{who}最爱吃的是{value}。",
        "晚饭的时候，{who}总想吃{value}。",
    ),
    "drinks": (
        "{who}喜欢喝{value}。",
        "{who}早上喝{value}。",
        "{who}最爱喝的是{value}。",
        "口渴的时候，{who}总要喝{value}。",
    ),
    "hobby": (
        "{who}喜欢{value}。",
        "{who}的爱好是{value}。",
        "一有空，{who}就去{value}。",
        "{who}最喜欢做的事是{value}。",
    ),
    "feels": (
        "{who}今天很{value}。",
        "今天{who}觉得很{value}。",
        "{who}看起来很{value}。",
        "看得出来，{who}很{value}。",
    ),
    "made": (
        "{who}的{thing}是{value}做的。",
        "{who}有一{m}{value}做的{thing}。",
        "{who}用的{thing}是{value}做的。",
    ),
    "went": (
        "{day}，{who}去了{value}。",
        "{who}{day}去了{value}。",
        "{who}在{day}那天走到了{value}。",
        "{day}那天，{who}一直在{value}。",
    ),
    "lives": (
        "{who}住在{value}。",
        "{who}的家在{value}。",
        "{who}在{value}有一座房子。",
        "{who}搬到了{value}，现在就住在那里。",
    ),
    "count": (
        "{who}有{n}{m}{thing}。",
        "{who}一共有{n}{m}{thing}。",
        "这{n}{m}{thing}都是{who}的。",
        "{who}数了数自己的{thing}，一共{n}{m}。",
    ),
    "gave": (
        "{who}给了{other}一{m}{thing}。",
        "{who}把一{m}{thing}送给了{other}。",
        "{other}从{who}那里得到了一{m}{thing}。",
        "{other}收到了{who}送的一{m}{thing}。",
    ),
    "bought": (
        "{day}，{who}买了一{m}{thing}。",
        "{who}在{day}买了一{m}{thing}。",
        "{who}{day}去买东西，带回了一{m}{thing}。",
    ),
    "pet": (
        "{who}养了一{m}{thing}。",
        "{who}家里有一{m}{thing}。",
        "{who}每天照顾一{m}{thing}。",
    ),
}
AGAIN: dict[str, tuple[str, ...]] = {
    "has": ("{he}有一{m}{value}的{thing}。", "{he}还有一{m}{value}的{thing}。", "{he}的{thing}是{value}的。"),
    "kept": ("{he}的{thing}在{value}里。", "{he}把{thing}放在{value}里。"),
    "at": ("{he}现在在{value}里。", "现在{he}正在{value}里。"),
    "job": ("{he}是一名{value}。", "{he}的工作是{value}。"),
    "eats": ("{he}喜欢吃{value}。", "{he}最爱吃的是{value}。"),
    "drinks": ("{he}喜欢喝{value}。", "{he}最爱喝的是{value}。"),
    "hobby": ("{he}喜欢{value}。", "{he}的爱好是{value}。"),
    "feels": ("{he}今天很{value}。", "今天{he}觉得很{value}。"),
    "made": ("{he}的{thing}是{value}做的。", "{he}有一{m}{value}做的{thing}。"),
    "went": ("{day}，{he}去了{value}。", "{he}{day}去了{value}。"),
    "lives": ("{he}住在{value}。", "{he}的家在{value}。"),
    "count": ("{he}有{n}{m}{thing}。", "{he}还有{n}{m}{thing}。"),
    "gave": ("{he}给了{other}一{m}{thing}。", "{he}把一{m}{thing}送给了{other}。"),
    "bought": ("{day}，{he}买了一{m}{thing}。", "{he}{day}买了一{m}{thing}。"),
    "pet": ("{he}养了一{m}{thing}。", "{he}家里有一{m}{thing}。"),
}
ASK: dict[str, tuple[tuple[tuple[str, ...], str, str], ...]] = {
    "has": (
        (("{who}的{thing}是什么颜色的？", "{who}的{thing}是哪种颜色？"), "是{value}的。", "{value}"),
        (("那{m}{value}的{thing}是谁的？", "谁有{thing}？"), "是{who}的。", "{who}"),
    ),
    "kept": (
        (("{who}的{thing}在哪里？", "{who}把{thing}放在哪儿了？"), "在{value}里。", "{value}"),
        (("{value}里的{thing}是谁的？", "谁的{thing}在{value}里？"), "是{who}的。", "{who}"),
    ),
    "at": (
        (("{who}在哪里？", "在哪儿能找到{who}？"), "{he}在{value}里。", "{value}"),
        (("谁在{value}里？", "{value}里的人是谁？"), "是{who}。", "{who}"),
    ),
    "job": (
        (("{who}做什么工作？", "{who}的工作是什么？"), "{he}是{value}。", "{value}"),
        (("谁是{value}？", "那位{value}是谁？"), "是{who}。", "{who}"),
    ),
    "eats": (
        (("{who}喜欢吃什么？", "{who}最爱吃什么？"), "{he}喜欢吃{value}。", "{value}"),
        (("谁喜欢吃{value}？", "爱吃{value}的是谁？"), "是{who}。", "{who}"),
    ),
    "drinks": (
        (("{who}喜欢喝什么？", "{who}最爱喝什么？"), "{he}喜欢喝{value}。", "{value}"),
        (("谁喜欢喝{value}？", "爱喝{value}的是谁？"), "是{who}。", "{who}"),
    ),
    "hobby": (
        (("{who}的爱好是什么？", "{who}喜欢做什么？"), "{he}喜欢{value}。", "{value}"),
        (("谁喜欢{value}？", "谁的爱好是{value}？"), "是{who}。", "{who}"),
    ),
    "feels": (
        (("{who}今天怎么样？", "{who}今天觉得怎么样？"), "{he}很{value}。", "{value}"),
        (("谁今天很{value}？", "今天谁觉得{value}？"), "是{who}。", "{who}"),
    ),
    "made": (
        (("{who}的{thing}是什么做的？", "{who}的{thing}是用什么做的？"), "是{value}做的。", "{value}"),
        (("谁的{thing}是{value}做的？", "{value}做的{thing}是谁的？"), "是{who}的。", "{who}"),
    ),
    "went": (
        (("{day}{who}去了哪里？", "{who}{day}去哪儿了？"), "{he}去了{value}。", "{value}"),
        (("{who}是哪天去{value}的？", "{who}什么时候去了{value}？"), "是{day}。", "{day}"),
        (("谁去了{value}？", "去{value}的人是谁？"), "是{who}。", "{who}"),
    ),
    "lives": (
        (("{who}住在哪里？", "{who}的家在哪儿？"), "{he}住在{value}。", "{value}"),
        (("谁住在{value}？", "谁的家在{value}？"), "是{who}。", "{who}"),
    ),
    "count": (
        (("{who}有几{m}{thing}？", "{who}一共有几{m}{thing}？"), "{he}有{n}{m}。", "{n}{m}"),
        (("谁有{n}{m}{thing}？", "这些{thing}是谁的？"), "是{who}。", "{who}"),
    ),
    "gave": (
        (("{who}送给{other}什么？", "{other}从{who}那里得到了什么？"), "是一{m}{thing}。", "{thing}"),
        (("谁送给{other}一{m}{thing}？", "{other}的{thing}是谁送的？"), "是{who}。", "{who}"),
        (("{who}把{thing}送给了谁？", "谁得到了{thing}？"), "是{other}。", "{other}"),
    ),
    "bought": (
        (("{who}{day}买了什么？", "{who}买了什么？"), "{he}买了一{m}{thing}。", "{thing}"),
        (("{who}是哪天买{thing}的？", "{who}什么时候买了{thing}？"), "是{day}。", "{day}"),
        (("谁买了{thing}？", "买{thing}的人是谁？"), "是{who}。", "{who}"),
    ),
    "pet": (
        (("{who}养了什么动物？", "{who}家里有什么动物？"), "是一{m}{thing}。", "{thing}"),
        (("谁养了{thing}？", "{thing}是谁养的？"), "是{who}。", "{who}"),
    ),
}
UNKNOWN = ("文中没有说。", "不知道")
