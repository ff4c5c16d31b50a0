"""Adjectives, verbs and the closed lists (colours, days, jobs, rooms) of the school, in both languages."""

# ruff: noqa: E501 (tables of words; a Chinese character counts double)
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A word and its translation."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Adjective:
    """A quality with its comparative; ``opposite`` and ``alike`` are English words, "" where there is none."""

    en: str
    zh: str
    comparative: str
    opposite: str
    opposite_zh: str


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb with its past and -ing forms."""

    en: str
    past: str
    ing: str
    zh: str


def _words(rows: str) -> tuple[Word, ...]:
    return tuple(Word(*(part.replace("_", " ") for part in row.split("="))) for row in rows.split())


_PAIRS = """
hot hotter 热 cold colder 冷
big bigger 大 small smaller 小
long longer 长 short shorter 短
old older 旧 new newer 新
fast faster 快 slow slower 慢
heavy heavier 重 light lighter 轻
wet wetter 湿 dry drier 干
clean cleaner 干净 dirty dirtier 脏
full fuller 满 empty emptier 空
hard harder 硬 soft softer 软
loud louder 大声 quiet quieter 小声
happy happier 高兴 sad sadder 难过
rich richer 富 poor poorer 穷
early earlier 早 late later 晚
strong stronger 强 weak weaker 弱
thick thicker 厚 thin thinner 薄
wide wider 宽 narrow narrower 窄
bright brighter 亮 dark darker 暗
deep deeper 深 shallow shallower 浅
sweet sweeter 甜 bitter more_bitter 苦
cheap cheaper 便宜 expensive more_expensive 贵
good better 好 bad worse 坏
high higher 高 low lower 低
near nearer 近 far farther 远
safe safer 安全 dangerous more_dangerous 危险
easy easier 容易 difficult more_difficult 难
sharp sharper 尖 blunt blunter 钝
busy busier 忙 idle idler 闲
kind kinder 善良 cruel crueler 残忍
warm warmer 暖和 cool cooler 凉快
""".replace("_", " ")


def _adjectives() -> tuple[Adjective, ...]:
    found: list[Adjective] = []
    for row in _PAIRS.strip().splitlines():
        parts = row.replace("more ", "more_").split()
        parts = [part.replace("_", " ") for part in parts]
        en, more, zh, en2, more2, zh2 = parts
        found.append(Adjective(en, zh, more, en2, zh2))
        found.append(Adjective(en2, zh2, more2, en, zh))
    return tuple(found)


ADJECTIVES: tuple[Adjective, ...] = _adjectives()
ADJECTIVE = {adjective.en: adjective for adjective in ADJECTIVES}

# Other opposites, for lists and questions: "up" and "down".
OPPOSITES: tuple[tuple[Word, Word], ...] = tuple(
    (Word(row[0], row[1]), Word(row[2], row[3]))
    for row in (
        line.split()
        for line in """
up 上 down 下
left 左 right 右
in 里 out 外
open 开 closed 关
day 白天 night 黑夜
first 第一 last 最后
front 前 back 后
inside 里面 outside 外面
north 北 south 南
east 东 west 西
begin 开始 end 结束
buy 买 sell 卖
come 来 go 去
push 推 pull 拉
win 赢 lose 输
laugh 笑 cry 哭
love 爱 hate 恨
question 问题 answer 答案
summer 夏天 winter 冬天
true 真 false 假
""".strip().splitlines()
    )
)
# Pairs that mean nearly the same.
SYNONYMS: tuple[tuple[str, str], ...] = tuple(
    (row.split()[0], row.split()[1])
    for row in """
big large
small little
fast quick
happy glad
sad unhappy
begin start
end finish
quiet silent
bright shining
difficult hard
near close
rich wealthy
shout yell
sofa couch
bicycle bike
road street
stone rock
gift present
house home
""".strip().splitlines()
)

VERBS: tuple[Verb, ...] = tuple(
    Verb(*row.split())
    for row in """
walk walked walking 走
run ran running 跑
jump jumped jumping 跳
swim swam swimming 游泳
sing sang singing 唱歌
dance danced dancing 跳舞
sleep slept sleeping 睡觉
eat ate eating 吃
drink drank drinking 喝
cook cooked cooking 做饭
read read reading 读
write wrote writing 写
draw drew drawing 画
paint painted painting 刷
speak spoke speaking 说
tell told telling 告诉
ask asked asking 问
answer answered answering 回答
see saw seeing 看见
look looked looking 看
watch watched watching 观看
hear heard hearing 听见
find found finding 找到
lose lost losing 丢
give gave giving 给
take took taking 拿
bring brought bringing 带来
buy bought buying 买
sell sold selling 卖
make made making 做
build built building 建
break broke breaking 打破
mend mended mending 修
clean cleaned cleaning 打扫
wash washed washing 洗
open opened opening 打开
close closed closing 关上
sit sat sitting 坐
stand stood standing 站
come came coming 来
go went going 去
leave left leaving 离开
stay stayed staying 留下
help helped helping 帮助
teach taught teaching 教
learn learned learning 学
think thought thinking 想
know knew knowing 知道
play played playing 玩
work worked working 工作
rest rested resting 休息
wait waited waiting 等
carry carried carrying 搬
throw threw throwing 扔
catch caught catching 抓住
fly flew flying 飞
grow grew growing 长大
plant planted planting 种
cut cut cutting 切
visit visited visiting 拜访
call called calling 叫
smile smiled smiling 微笑
laugh laughed laughing 笑
cry cried crying 哭
""".strip().splitlines()
)

COLOURS = _words(
    "red=红色 blue=蓝色 green=绿色 yellow=黄色 black=黑色 white=白色 brown=棕色 grey=灰色 pink=粉色 purple=紫色"
)
MATERIALS = _words("wooden=木头 glass=玻璃 stone=石头 iron=铁 paper=纸 silver=银 plastic=塑料 clay=陶土")
SIZES = _words("big=大 small=小 old=旧 new=新 heavy=重 light=轻 long=长 short=短")
DAYS = _words(
    "Monday=星期一 Tuesday=星期二 Wednesday=星期三 Thursday=星期四 Friday=星期五 Saturday=星期六 Sunday=星期日"
)
MONTHS = _words(
    "January=一月 February=二月 March=三月 April=四月 May=五月 June=六月 July=七月 August=八月 "
    "September=九月 October=十月 November=十一月 December=十二月"
)
SEASONS = _words("spring=春天 summer=夏天 autumn=秋天 winter=冬天")
WEATHER = _words("sunny=晴天 rainy=下雨 windy=刮风 snowy=下雪 foggy=有雾 cloudy=阴天")
JOBS = _words(
    "baker=面包师 teacher=老师 doctor=医生 farmer=农民 fisherman=渔夫 painter=画家 singer=歌手 writer=作家 "
    "cook=厨师 driver=司机 tailor=裁缝 carpenter=木匠 nurse=护士 gardener=园丁 guard=保安 postman=邮递员"
)
ROOMS = _words(
    "kitchen=厨房 garden=花园 bedroom=卧室 hall=大厅 office=办公室 attic=阁楼 cellar=地下室 barn=谷仓 "
    "library=图书馆 school=学校 market=市场 station=车站 park=公园 shop=商店 workshop=工坊 bathroom=浴室"
)
# Where things are kept.
HOUSE = _words(
    "kitchen=厨房 garden=花园 bedroom=卧室 hall=大厅 office=办公室 attic=阁楼 cellar=地下室 barn=谷仓 workshop=工坊 "
    "bathroom=浴室"
)
# Where people go on an outing; the English takes "the".
SIGHTS = _words(
    "river=河边 lake=湖边 forest=森林 hill=山上 bridge=桥边 beach=海滩 market=市场 park=公园 library=图书馆 "
    "museum=博物馆 station=车站 farm=农场 school=学校 theatre=剧院"
)
FOODS = _words(
    "bread=面包 rice=米饭 soup=汤 cheese=奶酪 cake=蛋糕 noodles=面条 eggs=鸡蛋 honey=蜂蜜 salad=沙拉 fish=鱼 "
    "dumplings=饺子 porridge=粥"
)
DRINKS = _words("water=水 tea=茶 milk=牛奶 coffee=咖啡 juice=果汁 cocoa=可可")
HOBBIES = _words(
    "singing=唱歌 dancing=跳舞 swimming=游泳 reading=看书 painting=画画 cooking=做饭 fishing=钓鱼 running=跑步 "
    "chess=下棋 gardening=种花 sewing=缝纫 walking=散步"
)
FEELINGS = _words(
    "happy=高兴 sad=难过 tired=累 hungry=饿 thirsty=渴 angry=生气 afraid=害怕 proud=骄傲 bored=无聊 surprised=惊讶"
)
LANDSCAPES = _words(
    "by_the_sea=在海边 by_a_river=在河边 among_hills=在群山之间 near_a_forest=在森林旁边 on_a_lake=在湖边 on_a_plain=在平原上"
)
WARES = _words("apples=苹果 honey=蜂蜜 tea=茶叶 fish=鱼 cheese=奶酪 baskets=篮子 bells=铃铛 roses=玫瑰")
# Colours that things have by nature: for "colour of" lists.
NATURAL_COLOURS: tuple[tuple[Word, Word], ...] = tuple(
    (Word(row[0], row[1]), Word(row[2], row[3]))
    for row in (
        line.split()
        for line in """
grass 草 green 绿色
snow 雪 white 白色
coal 煤 black 黑色
sky 天空 blue 蓝色
milk 牛奶 white 白色
banana 香蕉 yellow 黄色
tomato 西红柿 red 红色
blood 血 red 红色
frog 青蛙 green 绿色
carrot 胡萝卜 orange 橙色
cucumber 黄瓜 green 绿色
lemon 柠檬 yellow 黄色
cherry 樱桃 red 红色
sun 太阳 yellow 黄色
leaf 叶子 green 绿色
cloud 云 white 白色
night 夜晚 black 黑色
chocolate 巧克力 brown 棕色
sea 大海 blue 蓝色
elephant 大象 grey 灰色
pig 猪 pink 粉色
fox 狐狸 red 红色
bear 熊 brown 棕色
rose 玫瑰 red 红色
potato 土豆 brown 棕色
""".strip().splitlines()
    )
)
