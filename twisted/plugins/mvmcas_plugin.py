from twisted.application.service import ServiceMaker

mvmcas = ServiceMaker("mvmcas", "mvmtr.assess.tap", "Say how to treat mail clients.", "mvmcas")
