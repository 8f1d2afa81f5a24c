"""Who may speak to the broker: logins, what each may say and hear, and the files of Mosquitto.

Everything but `folder`, `certificates` and `setting_up` is pure.
"""
