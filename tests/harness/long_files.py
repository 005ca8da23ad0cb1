"""Files of tests of which one takes minutes. A whole run begins with them: else one process would wait for the last one."""

LONG = (
    "e2e/test_systemd.py", "e2e/test_guest_files.py", "e2e/test_container_image.py", "property/test_rules_machine.py",
    "e2e/test_kubernetes.py", "integration/test_exit_records.py", "integration/test_compaction.py",
    "integration/test_page_browser.py",
)  # fmt: skip
