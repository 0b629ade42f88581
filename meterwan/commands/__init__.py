"""The commands of ``meterwan``, one file a subject. Heavy imports stay inside the functions: ``--help`` is quick."""
