"""The rules of audio description as checks: when it is said (timing), how (wording, tense), of whom (story)."""
