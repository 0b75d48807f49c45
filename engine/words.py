"""The words that names of containers are made of."""

ADJECTIVES = (
    "able agile amber ample apt arctic avid azure balmy bold brave breezy bright brisk bronze calm "
    "candid careful cheery civil clever cosy crisp curious daring deft diligent dusky eager early "
    "earnest easy elder fair faithful fearless festive fleet fluent fond frank free fresh frosty "
    "gallant gentle gifted glad gleaming golden graceful grand green hardy helpful honest humble jolly "
    "keen kind lasting lively loyal lucid lucky mellow merry mild mindful modest neat nimble noble open "
    "patient placid plucky polite proud quick quiet ready robust rosy rustic sage serene sharp silver "
    "sincere sleek smart snug solid spry stable steady stellar stout sunny sure swift tender tidy "
    "trusty upbeat valiant vivid warm watchful willing wise witty young zesty"
).split(" ")

NOUNS = (
    "acorn alder anchor apple aspen badger barge basin beacon beaver beech bison birch bridge brook "
    "cabin canal canoe canyon cedar cliff clover cobalt comet compass coral cottage crane creek cricket "
    "crystal daisy delta dolphin dune eagle ember falcon fern ferry finch fjord forest fox garden "
    "garnet glacier granite grove gull harbor hare hawk hazel heron hill ibex iris island ivy jasper "
    "juniper kayak kestrel lagoon lantern larch lark lichen lighthouse lily linden lynx magnet magpie "
    "maple marble marten meadow mesa mill moss mountain nebula oak oasis ocean olive orchard orchid "
    "osprey otter owl pebble pelican pine planet plover pond poplar prairie puffin quartz quill rapids "
    "raven reef ridge river robin rowan ruby saddle sail salmon seal shore spruce squirrel starling "
    "stone stork stream summit sunrise swallow swan tern thicket thistle thrush tide trail tulip tundra "
    "valley violet walnut wharf willow wren"
).split(" ")
