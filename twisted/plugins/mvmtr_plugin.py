from twisted.application.service import ServiceMaker

mvmtr = ServiceMaker("mvmtr", "mvmtr.tap", "Receive mail in the place of qmail-smtpd.", "mvmtr")
