"""The nouns of the school, with plural, measure word, category and what else is true of them."""

# ruff: noqa: SIM905 (tables of words; a Chinese character counts double)
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Noun:
    """A thing that can be counted, in both languages."""

    en: str
    plural: str
    zh: str
    measure: str
    category: str
    size: int  # rank by size among all nouns: compare only where two ranks differ by 2 or more

    @property
    def a(self) -> str:
        """With its indefinite article: "an apple"."""
        return a(self.en)

    def many(self, n: int) -> str:
        """With an English number word: "one cup", "three cups"."""
        return f"{NUMBERS_EN[n]} {self.en if n == 1 else self.plural}"

    def many_zh(self, n: int) -> str:
        """With a Chinese number and measure word: 两只猫."""
        return f"{count_zh(n)}{self.measure}{self.zh}"


def a(words: str) -> str:
    """The words with "a" or "an" before them, by sound."""
    if words[0] in "aeiouAEIOU" and not words.startswith(("uni", "use", "one")):
        return f"an {words}"
    return f"an {words}" if words.startswith(("hour", "honest")) else f"a {words}"


NUMBERS_EN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
).split()
NUMBERS_ZH = "零 一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七 十八 十九 二十".split()


def count_zh(n: int) -> str:
    """The number as it stands before a measure word: 两 for 2."""
    return "两" if n == 2 else NUMBERS_ZH[n]


def _table(category: str, rows: str) -> tuple[Noun, ...]:
    nouns = []
    for row in rows.strip().splitlines():
        en, plural, zh, measure, size = row.split()
        nouns.append(Noun(en, plural, zh, measure, category, int(size)))
    return tuple(nouns)


ANIMALS = _table(
    "animal",
    """
bee bees 蜜蜂 只 1
ant ants 蚂蚁 只 1
mouse mice 老鼠 只 3
frog frogs 青蛙 只 3
bird birds 鸟 只 4
fish fish 鱼 条 4
duck ducks 鸭子 只 6
hen hens 母鸡 只 6
rabbit rabbits 兔子 只 7
cat cats 猫 只 7
owl owls 猫头鹰 只 7
goose geese 鹅 只 8
fox foxes 狐狸 只 9
monkey monkeys 猴子 只 9
dog dogs 狗 条 10
goat goats 山羊 只 11
sheep sheep 绵羊 只 11
wolf wolves 狼 匹 11
pig pigs 猪 头 12
deer deer 鹿 头 13
lion lions 狮子 头 14
bear bears 熊 头 15
cow cows 牛 头 15
horse horses 马 匹 15
elephant elephants 大象 头 18
""",
)
FRUITS = _table(
    "fruit",
    """
cherry cherries 樱桃 颗 1
grape grapes 葡萄 颗 1
plum plums 李子 个 2
lemon lemons 柠檬 个 3
apple apples 苹果 个 3
pear pears 梨 个 3
peach peaches 桃子 个 3
orange oranges 橙子 个 3
banana bananas 香蕉 根 3
mango mangoes 芒果 个 3
""",
)
VEGETABLES = _table(
    "vegetable",
    """
bean beans 豆子 颗 1
onion onions 洋葱 个 3
carrot carrots 胡萝卜 根 3
potato potatoes 土豆 个 3
tomato tomatoes 西红柿 个 3
cucumber cucumbers 黄瓜 根 4
cabbage cabbages 白菜 棵 5
pumpkin pumpkins 南瓜 个 6
""",
)
CLOTHES = _table(
    "clothing",
    """
ring rings 戒指 枚 1
sock socks 袜子 只 3
glove gloves 手套 只 3
belt belts 腰带 条 4
hat hats 帽子 顶 4
scarf scarves 围巾 条 5
shoe shoes 鞋子 只 5
shirt shirts 衬衫 件 6
skirt skirts 裙子 条 6
dress dresses 连衣裙 条 7
coat coats 外套 件 8
""",
)
TOOLS = _table(
    "tool",
    """
nail nails 钉子 颗 1
needle needles 针 根 1
brush brushes 刷子 把 3
knife knives 刀 把 3
hammer hammers 锤子 把 4
saw saws 锯子 把 5
rope ropes 绳子 条 6
axe axes 斧头 把 6
shovel shovels 铲子 把 7
broom brooms 扫帚 把 7
ladder ladders 梯子 架 11
""",
)
FURNITURE = _table(
    "furniture",
    """
mirror mirrors 镜子 面 8
stool stools 凳子 张 9
shelf shelves 书架 个 11
chair chairs 椅子 把 10
desk desks 书桌 张 12
table tables 桌子 张 12
cupboard cupboards 柜子 个 13
sofa sofas 沙发 张 13
bed beds 床 张 14
""",
)
VEHICLES = _table(
    "vehicle",
    """
bicycle bicycles 自行车 辆 11
cart carts 手推车 辆 12
car cars 汽车 辆 15
boat boats 小船 条 15
bus buses 公共汽车 辆 17
truck trucks 卡车 辆 17
plane planes 飞机 架 19
train trains 火车 列 20
ship ships 轮船 艘 20
""",
)
INSTRUMENTS = _table(
    "instrument",
    """
whistle whistles 哨子 个 2
flute flutes 笛子 支 4
bell bells 铃铛 个 3
violin violins 小提琴 把 6
drum drums 鼓 面 7
guitar guitars 吉他 把 8
piano pianos 钢琴 架 13
""",
)
TOYS = _table(
    "toy",
    """
marble marbles 弹珠 颗 1
top tops 陀螺 个 3
doll dolls 布娃娃 个 4
ball balls 球 个 4
puzzle puzzles 拼图 幅 5
kite kites 风筝 只 7
""",
)
CONTAINERS = _table(
    "container",
    """
cup cups 杯子 个 3
jar jars 罐子 个 4
bowl bowls 碗 个 4
bottle bottles 瓶子 个 4
basket baskets 篮子 个 6
bucket buckets 水桶 个 7
bag bags 袋子 个 6
box boxes 箱子 个 7
""",
)
GOODS = _table(
    "thing",
    """
coin coins 硬币 枚 1
stamp stamps 邮票 张 1
key keys 钥匙 把 2
letter letters 信 封 3
pen pens 钢笔 支 3
candle candles 蜡烛 根 3
watch watches 手表 块 3
map maps 地图 张 4
book books 书 本 4
lamp lamps 灯 盏 6
clock clocks 钟 座 6
blanket blankets 毯子 条 8
umbrella umbrellas 雨伞 把 7
picture pictures 画 幅 7
""",
)
PLANTS = _table(
    "plant",
    """
leaf leaves 叶子 片 2
flower flowers 花 朵 3
rose roses 玫瑰 朵 3
bush bushes 灌木 丛 11
tree trees 树 棵 17
""",
)

NOUNS: tuple[Noun, ...] = (
    *ANIMALS,
    *FRUITS,
    *VEGETABLES,
    *CLOTHES,
    *TOOLS,
    *FURNITURE,
    *VEHICLES,
    *INSTRUMENTS,
    *TOYS,
    *CONTAINERS,
    *GOODS,
    *PLANTS,
)
BY_EN = {noun.en: noun for noun in NOUNS}

# What a person carries about, gives away, loses or lends.
PORTABLE: tuple[Noun, ...] = tuple(
    noun
    for noun in (*CLOTHES, *TOOLS, *INSTRUMENTS, *TOYS, *CONTAINERS, *GOODS)
    if noun.size <= 8 and noun.en not in ("nail",)
)
# What stands in a room and can be near something.
STANDING: tuple[Noun, ...] = FURNITURE
PETS: tuple[Noun, ...] = tuple(
    BY_EN[en] for en in "cat dog rabbit bird fish duck hen goat horse goose sheep pig".split()
)
EDIBLE: tuple[Noun, ...] = (*FRUITS, *VEGETABLES)

CATEGORIES_ZH = {
    "animal": "动物",
    "fruit": "水果",
    "vegetable": "蔬菜",
    "clothing": "衣物",
    "tool": "工具",
    "furniture": "家具",
    "vehicle": "交通工具",
    "instrument": "乐器",
    "toy": "玩具",
    "container": "容器",
    "plant": "植物",
}
# "A cat is an animal", but "a shirt is a piece of clothing".
CATEGORY_PHRASES = {
    category: {
        "clothing": "a piece of clothing",
        "furniture": "a piece of furniture",
        "instrument": "a musical instrument",
    }.get(category, a(category))
    for category in CATEGORIES_ZH
}
NAMED_CATEGORIES: tuple[Noun, ...] = tuple(noun for noun in NOUNS if noun.category in CATEGORIES_ZH)

_VOICES = """
cat meow 喵喵 kitten 小猫
dog woof 汪汪 puppy 小狗
cow moo 哞哞 calf 小牛
sheep baa 咩咩 lamb 小羊
duck quack 嘎嘎 duckling 小鸭
pig oink 哼哼 piglet 小猪
bee buzz 嗡嗡 - -
horse neigh 咴咴 foal 小马
hen cluck 咯咯 chick 小鸡
lion roar 吼吼 cub 小狮子
frog croak 呱呱 tadpole 蝌蚪
mouse squeak 吱吱 - -
bird tweet 叽叽 - -
goat - - kid 小山羊
goose - - gosling 小鹅
deer - - fawn 小鹿
bear - - cub 小熊
wolf howl 嗷嗷 cub 小狼
owl hoot 咕咕 owlet -
""".split()
SOUNDS: dict[str, tuple[str, str]] = {}
YOUNG: dict[str, tuple[str, str]] = {}
for _i in range(0, len(_VOICES), 5):
    _animal, _sound, _sound_zh, _child, _child_zh = _VOICES[_i : _i + 5]
    if _sound != "-":
        SOUNDS[_animal] = (_sound, _sound_zh)
    if _child != "-" and _child_zh != "-":
        YOUNG[_animal] = (_child, _child_zh)
