#include "data/vocabulary.h"

#include <array>

namespace hadal::data {
namespace {

constexpr Person she(std::string_view name) {
  return {name, "she", "her", "her"};
}
constexpr Person he(std::string_view name) {
  return {name, "he", "his", "him"};
}

constexpr auto kPeople = std::to_array<Person>(
    {she("Anna"),  he("Ben"),    she("Clara"),  he("David"),  she("Emma"),   he("Felix"),
     she("Grace"), he("Henry"),  she("Ida"),    he("Jack"),   she("Kate"),   he("Leo"),
     she("Mia"),   he("Noah"),   she("Olivia"), he("Paul"),   she("Rosa"),   he("Sam"),
     she("Tina"),  he("Tom"),    she("Vera"),   he("Will"),   she("Zoe"),    he("Adam"),
     she("Bella"), he("Carlos"), she("Dora"),   he("Eric"),   she("Fatima"), he("George"),
     she("Hana"),  he("Ivan"),   she("Julia"),  he("Karim"),  she("Lena"),   he("Max"),
     she("Nina"),  he("Oscar"),  she("Priya"),  he("Quinn"),  she("Ruth"),   he("Simon"),
     she("Tara"),  he("Umar"),   she("Violet"), he("Walter"), she("Yuki"),   he("Amir"),
     she("Alice"), he("Daniel"), she("Elena"),  he("Frank"),  she("Helen"),  he("Isaac"),
     she("Lucy"),  he("Martin"), she("Mary"),   he("Peter"),  she("Sara"),   he("Victor")});

constexpr auto kThings = std::to_array<Thing>({
    {"apple", "apples"},     {"pear", "pears"},         {"orange", "oranges"},
    {"lemon", "lemons"},     {"plum", "plums"},         {"cherry", "cherries"},
    {"banana", "bananas"},   {"potato", "potatoes"},    {"carrot", "carrots"},
    {"onion", "onions"},     {"egg", "eggs"},           {"cookie", "cookies"},
    {"cake", "cakes"},       {"muffin", "muffins"},     {"sweet", "sweets"},
    {"nut", "nuts"},         {"book", "books"},         {"pencil", "pencils"},
    {"pen", "pens"},         {"notebook", "notebooks"}, {"sticker", "stickers"},
    {"stamp", "stamps"},     {"card", "cards"},         {"coin", "coins"},
    {"marble", "marbles"},   {"ball", "balls"},         {"balloon", "balloons"},
    {"toy car", "toy cars"}, {"doll", "dolls"},         {"puzzle", "puzzles"},
    {"shell", "shells"},     {"stone", "stones"},       {"flower", "flowers"},
    {"rose", "roses"},       {"tulip", "tulips"},       {"leaf", "leaves"},
    {"feather", "feathers"}, {"button", "buttons"},     {"bead", "beads"},
    {"ribbon", "ribbons"},   {"hat", "hats"},           {"scarf", "scarves"},
    {"shirt", "shirts"},     {"sock", "socks"},         {"cup", "cups"},
    {"plate", "plates"},     {"spoon", "spoons"},       {"bottle", "bottles"},
    {"candle", "candles"},   {"ticket", "tickets"},     {"picture", "pictures"},
    {"letter", "letters"},   {"key", "keys"},           {"nail", "nails"},
    {"brick", "bricks"},     {"fish", "fish"},          {"hen", "hens"},
    {"rabbit", "rabbits"},   {"sheep", "sheep"},        {"goat", "goats"},
});

constexpr auto kWords = std::to_array<std::string_view>(
    {"apple",     "banana",     "bread",    "bridge",   "brother",  "butter",  "candle",
     "castle",    "cheese",     "cloud",    "coffee",   "corner",   "cotton",  "dinner",
     "dragon",    "eagle",      "engine",   "family",   "farmer",   "finger",  "flower",
     "forest",    "friend",     "garden",   "gentle",   "giraffe",  "glass",   "hammer",
     "happy",     "honey",      "house",    "island",   "jacket",   "kitchen", "ladder",
     "lemon",     "letter",     "little",   "market",   "meadow",   "mirror",  "monkey",
     "morning",   "mother",     "mountain", "music",    "needle",   "ocean",   "orange",
     "paper",     "pepper",     "pencil",   "planet",   "pocket",   "potato",  "purple",
     "quiet",     "rabbit",     "river",    "school",   "season",   "silver",  "sister",
     "spring",    "summer",     "street",   "sugar",    "table",    "teacher", "thunder",
     "tiger",     "tomato",     "travel",   "turtle",   "umbrella", "valley",  "village",
     "violin",    "water",      "whisper",  "window",   "winter",   "wonder",  "yellow",
     "zebra",     "strawberry", "balloon",  "blossom",  "pillow",   "raccoon", "mississippi",
     "committee", "bookkeeper", "parallel", "elephant", "chocolate"});

constexpr auto kPlaces = std::to_array<std::string_view>(
    {"kitchen", "garden", "bedroom", "cellar", "attic", "hall", "bathroom", "office", "garage",
     "school", "library", "park", "market", "station", "shop", "barn", "forest", "field"});

constexpr auto kContainers = std::to_array<std::string_view>(
    {"box", "basket", "bag", "jar", "crate", "drawer", "packet", "tray"});

}  // namespace

std::span<const Person> people() {
  return kPeople;
}
std::span<const Thing> things() {
  return kThings;
}
std::span<const std::string_view> plain_words() {
  return kWords;
}
std::span<const std::string_view> places() {
  return kPlaces;
}
std::span<const std::string_view> containers() {
  return kContainers;
}

std::string_view named(const Thing& thing, int64_t count) {
  return count == 1 ? thing.one : thing.many;
}

}  // namespace hadal::data
