from mvmtr.auth.plugin import CheckPasswordFactory, ScramFactory

check_password = CheckPasswordFactory()
scram = ScramFactory()
