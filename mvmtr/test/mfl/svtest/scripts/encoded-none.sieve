if header :contains "subject" "${hex:40}" { discard; }
