"""Send a short message to mvmtr on 127.0.0.1:2525:  send.py RECIPIENT [SENDER]"""

import smtplib
import sys
from email.message import EmailMessage

recipient = sys.argv[1]
sender = sys.argv[2] if len(sys.argv) > 2 else "me@example.com"
message = EmailMessage()
message["From"] = sender
message["To"] = recipient
message["Subject"] = "Hello, mvmtr"
message.set_content("This is my first message.")

try:
    with smtplib.SMTP("127.0.0.1", 2525) as server:
        server.send_message(message, sender, [recipient])
        print("accepted for", recipient)
except smtplib.SMTPRecipientsRefused as refused:
    code, text = refused.recipients[recipient]
    sys.exit(f"refused: {code} {text.decode()}")
except smtplib.SMTPResponseException as refused:
    sys.exit(f"refused: {refused.smtp_code} {refused.smtp_error}")
