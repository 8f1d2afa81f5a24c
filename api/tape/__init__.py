"""Raw MQTT on tape: recorded from any broker, played back to any, made anonymous.

The tape is the recording that the backtest reads (docs/recording.md), with a few fields more.
"""
