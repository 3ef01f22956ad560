#include "limiter/config/rule_node.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <istream>
#include <optional>
#include <streambuf>
#include <string>
#include <string_view>
#include <vector>

namespace weir {
namespace {

constexpr std::string_view kCoreTag = "tag:yaml.org,2002:";

// Reads a string in place, where std::istringstream would copy a file of 32 MiB.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view view) {
    char* begin = const_cast<char*>(view.data());  // never written through: there is no put area
    setg(begin, begin, begin + view.size());
  }
};

// The code point at text[i] and its length; length 0 if the bytes are not UTF-8.
struct CodePoint {
  uint32_t value = 0;
  size_t length = 0;
};

CodePoint DecodeUtf8(std::string_view text, size_t i) {
  const auto lead = static_cast<unsigned char>(text[i]);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || i + length > text.size()) return {};
  uint32_t value = lead & (0xffu >> (length + 1));
  for (size_t k = 1; k < length; ++k) {
    const auto byte = static_cast<unsigned char>(text[i + k]);
    if ((byte & 0xc0) != 0x80) return {};
    value = (value << 6) | (byte & 0x3f);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (overlong || surrogate || value > 0x10ffff) return {};
  return {value, length};
}

bool IsControl(uint32_t value) {
  if (value < 0x20) return value != '\t' && value != '\n' && value != '\r';
  return value == 0x7f || (value >= 0x80 && value < 0xa0 && value != 0x85) || value == 0xfffe ||
         value == 0xffff;
}

// yaml-cpp holds everything from the first bracket on as tokens of 100 to 250 bytes until that
// bracket is closed, and only then tells of the first node: 32 MiB of `[` would take 8 GB before
// the bounds on depth and nodes see any of it. These bounds on the raw text, quoted or not, are
// far above what a file within the others can have.
constexpr int64_t kOpenBracketsMax = 1000;
constexpr int64_t kSeparatorsPerNode = 2;

class SeparatorCount {
 public:
  explicit SeparatorCount(const YamlBounds& bounds)
      : separators_max_(bounds.nodes_max * kSeparatorsPerNode) {}

  // False if `value` is one too many.
  bool Add(uint32_t value) {
    switch (value) {
      case '[':
      case '{':
        ++open_;
        break;
      case ']':
      case '}':
        open_ = std::max<int64_t>(open_ - 1, 0);
        break;
      case ',':
      case ':':
        break;
      default:
        return true;
    }
    ++separators_;
    return open_ <= kOpenBracketsMax && separators_ <= separators_max_;
  }

  std::string message() const {
    if (open_ > kOpenBracketsMax) {
      return "more than " + std::to_string(kOpenBracketsMax) + " brackets are open";
    }
    return "the file has more than " + std::to_string(separators_max_) +
           " commas, colons and brackets";
  }

 private:
  const int64_t separators_max_;
  int64_t open_ = 0;
  int64_t separators_ = 0;
};

// yaml-cpp takes \x04 for the end of the file and guesses UTF-16 from zero bytes; metadata and
// names go into protobuf strings, which must be UTF-8. So all of that is refused before parsing.
std::optional<YamlError> CheckText(std::string_view content, const YamlBounds& bounds) {
  SeparatorCount separators(bounds);
  int line = 1;
  size_t line_start = 0;
  for (size_t i = 0; i < content.size();) {
    const CodePoint point = DecodeUtf8(content, i);
    if (point.length == 0 || IsControl(point.value)) {
      const char* message =
          point.length == 0 ? "the file is not UTF-8 text" : "control characters are not allowed";
      return YamlError{message, line, static_cast<int>(i - line_start) + 1};
    }
    if (!separators.Add(point.value)) {
      return YamlError{separators.message(), line, static_cast<int>(i - line_start) + 1};
    }
    i += point.length;
    if (point.value == '\n') {
      ++line;
      line_start = i;
    }
  }
  return std::nullopt;
}

// Splits off the line `number`, counted from 0.
std::vector<std::string_view> FirstLines(std::string_view content, int count) {
  std::vector<std::string_view> lines;
  while (static_cast<int>(lines.size()) < count) {
    const size_t end = content.find('\n');
    lines.push_back(content.substr(0, end));
    if (end == std::string_view::npos) break;
    content.remove_prefix(end + 1);
  }
  return lines;
}

// Whether what begins on `line` (from 0) is a document of its own: `---` opens it, or `...` closed
// the one before.
bool BeginsDocument(std::string_view content, int line) {
  const std::vector<std::string_view> lines = FirstLines(content, line + 1);
  if (static_cast<int>(lines.size()) <= line) return true;
  if (lines.back().starts_with("---")) return true;
  for (auto it = lines.rbegin() + 1; it != lines.rend(); ++it) {
    if (it->starts_with("...")) return true;
    const size_t text = it->find_first_not_of(" \t\r");
    const bool skipped = text == std::string_view::npos || (*it)[text] == '#' || (*it)[0] == '%';
    if (!skipped) return false;
  }
  return false;
}

YamlError ToError(const YAML::Exception& error) {
  YamlError out{error.msg, 0, 0};
  if (!error.mark.is_null()) {
    out.line = error.mark.line + 1;
    out.column = error.mark.column + 1;
  }
  return out;
}

// Looks where the next document begins, and stops there.
class NextDocument : public YAML::EventHandler {
 public:
  explicit NextDocument(std::string_view content) : content_(content) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (!BeginsDocument(content_, mark.line)) {
      throw YAML::ParserException(mark, "end of the document expected");
    }
    found_ = true;
    // yaml-cpp has no other way to stop a parse; caught in Parse, as all of its exceptions are.
    throw YAML::ParserException(mark, "only the first document is read");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  bool found() const { return found_; }

 private:
  std::string_view content_;
  bool found_ = false;
};

}  // namespace

// Turns parse events into nodes. Throws YAML::ParserException to stop yaml-cpp.
class YamlBuilder : public YAML::EventHandler {
 public:
  YamlBuilder(YamlDocument* document, const YamlBounds& bounds)
      : document_(*document), bounds_(bounds) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(mark, anchor, NodeKind::kNull);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const YamlNode* target = anchor < anchors_.size() ? anchors_[anchor] : nullptr;
    const bool inside = std::any_of(open_.begin(), open_.end(),
                                    [&](const Open& open) { return open.node == target; });
    if (target == nullptr || inside) {
      throw YAML::ParserException(mark, "an anchor's value contains the anchor itself");
    }
    Add(mark, YAML::NullAnchor, NodeKind::kAlias).target = target;
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode& node = Add(mark, anchor, NodeKind::kScalar);
    node.text = value;
    node.plain = tag == "?";
    if (tag == "?" || tag == "!" || tag.empty()) return;
    std::string_view name = tag;
    if (!name.starts_with(kCoreTag)) throw YAML::ParserException(mark, "unknown tag " + tag);
    name.remove_prefix(kCoreTag.size());
    if (name == "str" || name == "timestamp") return;
    node.plain = true;
    const ScalarType type = ResolveScalar(node).type;
    const bool fits = (name == "int" && type == ScalarType::kInt) ||
                      (name == "bool" && type == ScalarType::kBool) ||
                      (name == "null" && type == ScalarType::kNull) ||
                      (name == "float" && (type == ScalarType::kFloat || type == ScalarType::kInt));
    if (!fits) {
      throw YAML::ParserException(mark, "cannot read '" + value + "' as !!" + std::string(name));
    }
    if (type == ScalarType::kNull) node.kind = NodeKind::kNull;
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Begin(mark, anchor, NodeKind::kList);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Begin(mark, anchor, NodeKind::kMap);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Open {
    YamlNode* node = nullptr;
    YamlNode* last = nullptr;
  };

  YamlNode& Add(const YAML::Mark& mark, YAML::anchor_t anchor, NodeKind kind) {
    if (static_cast<int64_t>(document_.nodes_.size()) >= bounds_.nodes_max) {
      throw YAML::ParserException(
          mark, "the file has more than " + std::to_string(bounds_.nodes_max) + " nodes");
    }
    YamlNode& node = document_.nodes_.emplace_back();
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    if (open_.empty()) {
      document_.root_ = &node;
    } else {
      Open& parent = open_.back();
      (parent.last == nullptr ? parent.node->first : parent.last->next) = &node;
      parent.last = &node;
    }
    if (anchor != YAML::NullAnchor) {
      if (anchor >= anchors_.size()) anchors_.resize(anchor + 1);
      anchors_[anchor] = &node;
    }
    return node;
  }

  void Begin(const YAML::Mark& mark, YAML::anchor_t anchor, NodeKind kind) {
    if (static_cast<int>(open_.size()) >= bounds_.depth_max) {
      throw YAML::ParserException(
          mark, "the file is nested more than " + std::to_string(bounds_.depth_max) + " deep");
    }
    YamlNode& node = Add(mark, anchor, kind);
    open_.push_back({&node, nullptr});
  }

  YamlDocument& document_;
  const YamlBounds bounds_;
  std::vector<Open> open_;
  std::vector<const YamlNode*> anchors_;  // by yaml-cpp's number, which counts from 1
};

std::optional<YamlError> YamlDocument::Parse(std::string_view content, const YamlBounds& bounds) {
  if (auto error = CheckText(content, bounds)) return error;
  ViewBuffer buffer(content);
  std::istream stream(&buffer);
  NextDocument next(content);
  try {
    YAML::Parser parser(stream);
    YamlBuilder builder(this, bounds);
    parser.HandleNextDocument(builder);
    // yaml-cpp takes whatever follows the root node, such as a line with less indentation, for the
    // next document: a rule must not vanish that way.
    parser.HandleNextDocument(next);
  } catch (const YAML::Exception& error) {
    if (!next.found()) return ToError(error);
  } catch (const std::exception& error) {
    return YamlError{error.what(), 0, 0};
  }
  if (root_ == nullptr) root_ = &nodes_.emplace_back();
  return std::nullopt;
}

}  // namespace weir
