"""Which model each unit serves: what is asked, when, who is believed. It fills table `unit_model`."""
