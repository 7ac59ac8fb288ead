#include "tests/fuzz/node.h"

#include <algorithm>

namespace tflm_train_fuzz {
namespace {

constexpr size_t kMaxTensors = 100;
constexpr size_t kMaxRank = 6;
constexpr size_t kUsualBytes = 512;

class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), left_(size) {}

  uint32_t Number(int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; ++i) {
      if (left_ == 0) break;
      value |= static_cast<uint32_t>(*data_++) << (8 * i);
      --left_;
    }
    return value;
  }
  std::vector<uint8_t> Bytes(size_t size) {
    size = std::min(size, left_);
    std::vector<uint8_t> bytes(data_, data_ + size);
    data_ += size;
    left_ -= size;
    return bytes;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

void Append(std::vector<uint8_t>* to, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to->push_back(static_cast<uint8_t>(value >> (8 * i)));
}

std::vector<int8_t> ReadList(Reader* reader, size_t tensors) {
  std::vector<int8_t> list;
  uint32_t count = std::min<uint32_t>(reader->Number(1), kMaxTensors);
  list.reserve(count);
  for (; count > 0; --count) {
    const int8_t id = static_cast<int8_t>(reader->Number(1));
    list.push_back(id >= 0 && static_cast<size_t>(id) < tensors ? id : int8_t{-1});
  }
  return list;
}

}  // namespace

FuzzNode ReadNode(const uint8_t* data, size_t size) {
  Reader reader(data, size);
  FuzzNode node;
  const std::vector<uint8_t> name = reader.Bytes(reader.Number(1));
  node.op.assign(name.begin(), name.end());
  node.failing_call = static_cast<uint8_t>(reader.Number(1));
  node.rate = static_cast<uint8_t>(reader.Number(1));
  node.seed = reader.Number(4);
  node.options = reader.Bytes(reader.Number(2));
  uint32_t count = std::min<uint32_t>(reader.Number(1), kMaxTensors);
  node.tensors.reserve(count);
  for (; count > 0; --count) {
    node.tensors.emplace_back();
    FuzzTensor& tensor = node.tensors.back();
    tensor.type = static_cast<uint8_t>(reader.Number(1));
    const uint32_t flags = reader.Number(1);
    tensor.is_constant = (flags & 1) != 0;
    tensor.is_misaligned = (flags & 2) != 0;
    tensor.is_uniform = (flags & 4) != 0;
    tensor.is_kept = (flags & 8) != 0;
    tensor.is_private = (flags & 16) != 0;
    uint32_t rank = std::min<uint32_t>(reader.Number(1), kMaxRank);
    tensor.dims.reserve(rank);
    for (; rank > 0; --rank) {
      tensor.dims.push_back(static_cast<int32_t>(reader.Number(4)));
    }
    tensor.data = reader.Bytes(reader.Number(2));
  }
  node.inputs = ReadList(&reader, node.tensors.size());
  node.outputs = ReadList(&reader, node.tensors.size());
  return node;
}

std::vector<uint8_t> WriteNode(const FuzzNode& node) {
  std::vector<uint8_t> out;
  out.reserve(kUsualBytes);
  Append(&out, static_cast<uint32_t>(node.op.size()), 1);
  out.insert(out.end(), node.op.begin(), node.op.end());
  Append(&out, node.failing_call, 1);
  Append(&out, node.rate, 1);
  Append(&out, node.seed, 4);
  Append(&out, static_cast<uint32_t>(node.options.size()), 2);
  out.insert(out.end(), node.options.begin(), node.options.end());
  Append(&out, static_cast<uint32_t>(node.tensors.size()), 1);
  for (const FuzzTensor& tensor : node.tensors) {
    Append(&out, tensor.type, 1);
    Append(&out,
           tensor.is_constant + 2u * tensor.is_misaligned + 4u * tensor.is_uniform +
               8u * tensor.is_kept + 16u * tensor.is_private,
           1);
    Append(&out, static_cast<uint32_t>(tensor.dims.size()), 1);
    for (const int32_t dim : tensor.dims) Append(&out, static_cast<uint32_t>(dim), 4);
    Append(&out, static_cast<uint32_t>(tensor.data.size()), 2);
    out.insert(out.end(), tensor.data.begin(), tensor.data.end());
  }
  for (const std::vector<int8_t>* list : {&node.inputs, &node.outputs}) {
    Append(&out, static_cast<uint32_t>(list->size()), 1);
    for (const int8_t id : *list) Append(&out, static_cast<uint8_t>(id), 1);
  }
  return out;
}

}  // namespace tflm_train_fuzz
