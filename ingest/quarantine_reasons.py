"""Why a message goes to quarantine: every reason by name, what it means, and what to do (SPEC E5).

A message is used whole or set aside whole. One bad value among fifty sets the message aside with the other
forty-nine: half a message stored would look complete to whoever reads it later, and its replay would not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The names, as stored, counted and shown."""

    BAD_TOPIC = "bad_topic"
    UNKNOWN_DEVICE = "unknown_device"
    TOO_LARGE = "too_large"
    BAD_JSON = "bad_json"
    DUPLICATE_KEY = "duplicate_key"
    WRONG_SHAPE = "wrong_shape"
    EMPTY = "empty"
    NOT_A_NUMBER = "not_a_number"
    BAD_TIMESTAMP = "bad_timestamp"
    TOO_FAR_AHEAD = "too_far_ahead"
    TOO_OLD = "too_old"
    TOO_MANY_DAYS = "too_many_days"
    BAD_SEQUENCE = "bad_sequence"
    BAD_METRIC_NAME = "bad_metric_name"
    TOO_MANY_METRICS = "too_many_metrics"
    TOO_MANY_NAMES = "too_many_names"
    BAD_EVENT = "bad_event"
    BAD_STATE = "bad_state"
    BAD_WAVEFORM = "bad_waveform"
    BAD_DEVICE_NAME = "bad_device_name"
    BAD_LINE_PROTOCOL = "bad_line_protocol"
    BAD_SPARKPLUG = "bad_sparkplug"
    UNKNOWN_ALIAS = "unknown_alias"
    STALE_ALIAS = "stale_alias"
    SPARKPLUG_DATA_SET = "sparkplug_data_set"
    SPARKPLUG_TEMPLATE = "sparkplug_template"
    OTHER_SLICE = "other_slice"
    FEED_UNUSABLE = "feed_unusable"
    DATABASE_REFUSED = "database_refused"
    PROCESSING_FAILED = "processing_failed"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means and what to do about it, for people."""

    meaning_en: str
    meaning_zh: str
    remedy_en: str
    remedy_zh: str


_FIX_SENDER_EN = "Correct the sender, then delete or replay the message."
_FIX_SENDER_ZH = "请修正发送端，然后删除或重放该消息。"

EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.BAD_TOPIC: Explanation(
        "The topic is not wearsight/v1/{site}/{device}/{telemetry|events|state} with names of A-Z a-z 0-9 _ -, "
        "nor one that its feed's settings name.",
        "主题不符合 wearsight/v1/{site}/{device}/{telemetry|events|state}，名称只能用字母、数字、_ 和 -。",
        "Correct the topic at the sender, or name it in the feed's settings (topics, ignore_topics).",
        "请在发送端修正主题，或在接入源设置（topics、ignore_topics）中写明该主题。",
    ),
    Reason.UNKNOWN_DEVICE: Explanation(
        "No device of this name is registered at this site.",
        "该站点没有登记此设备。",
        "Register the device, then replay: its messages are all here.",
        "请登记该设备，然后重放：它的消息都保留在这里。",
    ),
    Reason.TOO_LARGE: Explanation(
        "The message is larger than 64 KiB, or a waveform larger than 1 MiB.",
        "消息超过 64 KiB，或波形超过 1 MiB。",
        "Have the sender split it.",
        "请让发送端拆分消息。",
    ),
    Reason.BAD_JSON: Explanation(
        "The message is not valid JSON in UTF-8.",
        "消息不是有效的 UTF-8 JSON。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.DUPLICATE_KEY: Explanation(
        "A JSON object names the same key twice, so one of its values would be lost.",
        "JSON 对象中同一键出现两次，其中一个值会丢失。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.WRONG_SHAPE: Explanation(
        "The JSON is valid but not of the shape that this topic carries.",
        "JSON 有效，但结构不符合该主题的约定。",
        'Telemetry is {"ts", "values": {"metric": number}}, an event {"ts", "code"}, or a list of those.',
        '遥测为 {"ts", "values": {"指标": 数值}}，事件为 {"ts", "code"}，或由其组成的列表。',
    ),
    Reason.EMPTY: Explanation(
        "The message carries no reading and no event.",
        "消息中没有任何读数或事件。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.NOT_A_NUMBER: Explanation(
        "A value is not a finite number: text, null, NaN, infinity, or out of range.",
        "某个值不是有限数值：文本、null、NaN、无穷大或超出范围。",
        "Have the sender leave out what it cannot measure.",
        "请让发送端省略无法测量的值。",
    ),
    Reason.BAD_TIMESTAMP: Explanation(
        "ts is neither milliseconds since 1970 nor RFC 3339 with a time zone.",
        "ts 既不是 1970 年以来的毫秒数，也不是带时区的 RFC 3339 时间。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.TOO_FAR_AHEAD: Explanation(
        "The time lies more than 5 minutes ahead of ours.",
        "时间比服务器超前 5 分钟以上。",
        "Set the device's clock (or correct the unit: ts is in milliseconds), then replay.",
        "请校准设备时钟（或修正单位：ts 以毫秒计），然后重放。",
    ),
    Reason.TOO_OLD: Explanation(
        "The time lies more than 7 days back, which a live device may not send; a recorded one may back to 1980.",
        "时间早于 7 天前，实时设备不允许；录制数据设备可早至 1980 年。",
        "Set the device's clock (ts is in milliseconds), or register it as recorded, then replay.",
        "请校准设备时钟（ts 以毫秒计），或将其登记为录制数据设备，然后重放。",
    ),
    Reason.TOO_MANY_DAYS: Explanation(
        "The readings spread over more days than the store opens for them.",
        "读数跨越的天数超过存储允许的上限。",
        "Check the times; import long histories in smaller messages, or apply retention first.",
        "请检查时间；将较长的历史拆成较小的消息导入，或先执行数据保留策略。",
    ),
    Reason.BAD_SEQUENCE: Explanation(
        "seq is not a whole number from 0 to 9007199254740991.",
        "seq 不是 0 到 9007199254740991 之间的整数。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.BAD_METRIC_NAME: Explanation(
        "A metric's name is empty, longer than 128 characters, or has control characters.",
        "指标名为空、超过 128 个字符或含控制字符。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.TOO_MANY_METRICS: Explanation(
        "One sample has more than 256 metrics.",
        "单个样本的指标超过 256 个。",
        "Have the sender split it over several devices or messages.",
        "请让发送端拆分到多个设备或多条消息。",
    ),
    Reason.TOO_MANY_NAMES: Explanation(
        "The device would have more than 500 metric names; names that carry values or times do that.",
        "设备的指标名将超过 500 个；把数值或时间写进名称会导致此问题。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.BAD_EVENT: Explanation(
        "An event's kind, code, severity, text or attributes are not valid.",
        "事件的 kind、code、severity、text 或 attrs 无效。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.BAD_STATE: Explanation(
        "The state is neither online nor offline.",
        "状态既不是 online 也不是 offline。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.BAD_WAVEFORM: Explanation(
        "A waveform's header, unit, sampling rate, or number or encoding of samples is not valid.",
        "波形的报头、单位、采样率、样本数量或样本编码无效。",
        'Send {"ts", "metric", "unit", "rate_hz", "samples_b64"} with 16 to 262144 float32 samples, or as binary.',
        '请发送 {"ts", "metric", "unit", "rate_hz", "samples_b64"}，含 16 到 262144 个 float32 样本，或二进制格式。',
    ),
    Reason.BAD_SPARKPLUG: Explanation(
        "The bytes are no Sparkplug B payload, or a value does not fit its data type.",
        "字节不是 Sparkplug B 载荷，或数值与其数据类型不符。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.UNKNOWN_ALIAS: Explanation(
        "A Sparkplug metric came by a number, or without its type, that no birth certificate has named yet.",
        "Sparkplug 指标以编号发送或未带类型，而尚未收到命名它的出生证书。",
        "Nothing: the edge node is asked to be born again, and its birth certificate replays the message.",
        "无需处理：系统会请求边缘节点重新发送出生证书，收到后自动重放该消息。",
    ),
    Reason.STALE_ALIAS: Explanation(
        "A Sparkplug metric came by a number that has been given to another metric since the message was sent.",
        "Sparkplug 指标使用的编号在消息发出之后已分配给其他指标。",
        "Nothing can tell what it meant. Delete it; look why the edge node's messages come late.",
        "其含义已无法确定。请删除该消息，并检查边缘节点消息迟到的原因。",
    ),
    Reason.SPARKPLUG_DATA_SET: Explanation(
        "A Sparkplug metric is a data set (a table), which is no reading.",
        "Sparkplug 指标是数据集（表格），不是读数。",
        "Have the edge node send its columns as metrics, or leave the metric out by the feed's setting 'metrics'.",
        "请让边缘节点以普通指标发送各列，或通过接入源设置 metrics 排除该指标。",
    ),
    Reason.SPARKPLUG_TEMPLATE: Explanation(
        "A Sparkplug metric is a template (a structure of metrics), which is no reading.",
        "Sparkplug 指标是模板（指标结构），不是读数。",
        "Have the edge node send its members as metrics, or leave the metric out by the feed's setting 'metrics'.",
        "请让边缘节点以普通指标发送各成员，或通过接入源设置 metrics 排除该指标。",
    ),
    Reason.BAD_DEVICE_NAME: Explanation(
        "A message of a feed names no device, or by a name that is empty, too long or not printable.",
        "接入源的消息没有说明是哪台设备，或设备名为空、过长、含不可打印字符。",
        "Correct the feed's settings (device, device_field) or the sender, then replay.",
        "请修正接入源的设置（device、device_field）或发送端，然后重放。",
    ),
    Reason.BAD_LINE_PROTOCOL: Explanation(
        "A line is not valid Influx line protocol in UTF-8.",
        "某一行不是有效的 UTF-8 Influx 行协议。",
        _FIX_SENDER_EN,
        _FIX_SENDER_ZH,
    ),
    Reason.OTHER_SLICE: Explanation(
        "It came to an ingester whose slice no longer has this site; the slices were cut anew.",
        "消息到达了已不再负责该站点的接收进程；切片已重新划分。",
        "Nothing to do: the slice that hears the site takes it within seconds. If it stays, no slice hears the site.",
        "无需处理：负责该站点的切片会在数秒内取走。若一直存在，则没有切片负责该站点。",
    ),
    Reason.FEED_UNUSABLE: Explanation(
        "The feed of this topic is disabled, or its settings cannot be used by its decoder.",
        "该主题的接入源已停用，或其设置无法被解码器使用。",
        "Enable the feed or correct its settings, then replay.",
        "请启用该接入源或修正其设置，然后重放。",
    ),
    Reason.DATABASE_REFUSED: Explanation(
        "The database refused this message, alone among its batch.",
        "数据库单独拒绝了这条消息。",
        "The detail has the database's words. Remove the cause, then replay.",
        "详情中有数据库的说明。请排除原因后重放。",
    ),
    Reason.PROCESSING_FAILED: Explanation(
        "This message, alone among its batch, could not be processed: a fault of the service, not of the sender.",
        "这条消息处理失败：这是服务的缺陷，而非发送端的问题。",
        "Report the detail; replay after the fix.",
        "请上报详情；修复后重放。",
    ),
}


class Unusable(Exception):
    """A message that goes to quarantine whole. ``detail`` says what came and what was expected."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
