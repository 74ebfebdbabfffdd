# Runs one test of a module of paho.mqtt.testing against a broker.
import sys, unittest, logging
folder, name, test, host, port = sys.argv[1:]
sys.path.insert(0, folder)
sys.argv = [name]
module = __import__(name)
module.host, module.port = host, int(port)
five = name == "client_test5"
prefix = "client_test5/" if five else ""
module.topic_prefix = prefix
kind = list if five else tuple
module.topics = kind(prefix + topic for topic in ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA"))
module.wildtopics = kind(prefix + topic for topic in ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#"))
module.nosubscribe_topics = ("test/nosubscribe",)
logging.getLogger().setLevel(logging.ERROR)
result = unittest.TextTestRunner(verbosity=0).run(unittest.TestSuite([module.Test(test)]))
sys.exit(0 if result.wasSuccessful() else 1)
