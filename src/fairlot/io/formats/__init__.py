"""Other people's formats: PrefLib, fairpyx and arbitrary spreadsheets in; enrolment lists and PrefLib out."""
