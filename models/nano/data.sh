#!/usr/bin/env bash
# The data of the nano model: its vocabulary and the token stores of pre-training and fine-tuning.
#
#   models/nano/data.sh DATA OUT [HADAL]
#
# DATA has prose/, chat/ and math/ with the files named below (sources and licences: the card). OUT
# gets tokenizer.json and one store a source, whose weights are in train.toml. About 260 M
# tokens in all, in a minute. Everything is a function of the files and the seeds here.
set -euo pipefail
data=$1 out=$2 hadal=${3:-build/release/hadal}
mkdir -p "$out"

sha256() { sha256sum "$1" | cut -c1-12; }
check() { # FILE HASH: the first 12 digits of its SHA-256
  [[ $(sha256 "$data/$1") == "$2" ]] || {
    echo "$data/$1 is not the file that the recipe was made with (sha256 $2...)" >&2
    exit 1
  }
}
check prose/prose-standard-ebooks.jsonl.zst ece186d1ffa7
check prose/prose-100-english-novels.jsonl.zst 987098dbeb22
check prose/prose-eltec-eng.jsonl.zst 70fd584e46d5
check prose/prose-openstax.jsonl.zst 7df6b9653c82
check prose/prose-storybooks.jsonl.zst 7515161dccc6
check chat/chat-topical.jsonl.zst 644f614ddad6
check chat/chat-dolly-part.jsonl.zst c92a4b6b149a
check chat/chat-seedtasks.jsonl.zst c6e36381685f
check chat/chat-chatterbot.jsonl.zst 9be0ad24b46c
check chat/qa-opentrivia.jsonl.zst 721d98818ff8
check math/math-gsm8k-train.jsonl.zst c968bd49b28c

modern=("$data"/prose/prose-{standard-ebooks,openstax,storybooks}.jsonl.zst)
novels=("$data"/prose/prose-{100-english-novels,eltec-eng}.jsonl.zst)
chat=("$data"/chat/{chat-dolly-part,chat-seedtasks,chat-chatterbot}.jsonl.zst)
sums=(generate:add generate:subtract generate:multiply generate:divide)
talk=(generate:chat generate:identity generate:unknown)
skills=(generate:compare generate:count generate:sort generate:date generate:text)

# Each generator's name with a count: generated COUNT NAME...
generated() {
  local count=$1
  shift
  printf "%s:$count\n" "$@"
}
readarray -t few < <(generated 20000 "${sums[@]}" "${talk[@]}" "${skills[@]}" generate:words \
  generate:story)
"$hadal" data tokenizer "${modern[@]}" "${novels[0]}" "${chat[@]}" \
  "$data/chat/chat-topical.jsonl.zst" "${few[@]}" --vocabulary 4096 --context 512 -o "$out"

pack() { # NAME OPTION... INPUT...
  local name=$1
  shift
  "$hadal" data pack --tokenizer "$out" --force -o "$out/$name.tokens" "$@"
}
pack modern "${modern[@]}"
pack novels "${novels[@]}"
pack dialogue --learn-all "${chat[@]}" "$data"/chat/{chat-topical,qa-opentrivia}.jsonl.zst
# Seeds differ between pre-training and fine-tuning, so that the latter sees new problems.
pack_generated() { # PREFIX SEED SCALE
  local prefix=$1 seed=$2 scale=$3
  readarray -t list < <(generated $((40000 * scale)) "${sums[@]}")
  pack "${prefix}sums" --seed "$seed" "${list[@]}"
  pack "${prefix}words" --seed "$seed" generate:words:$((200000 * scale))
  readarray -t list < <(generated $((60000 * scale)) "${talk[@]}")
  pack "${prefix}talk" --seed "$seed" "${list[@]}"
  readarray -t list < <(generated $((40000 * scale)) "${skills[@]}")
  pack "${prefix}skills" --seed "$seed" "${list[@]}"
  pack "${prefix}story" --seed "$seed" generate:story:$((120000 * scale))
}
pack_generated "" 1 2
pack_generated sft- 2 1
pack sft-chat "${chat[@]}"
pack sft-math "$data/math/math-gsm8k-train.jsonl.zst"
