"""Other people's formats: PrefLib, fairpyx, arbitrary spreadsheets in; workbooks, enrolments, PrefLib out."""
