#include <algorithm>
#include <chrono>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "cli/human.h"
#include "cli/train_run.h"
#include "eval/machine.h"
#include "train/initialise.h"
#include "train/lora.h"
#include "train/plan.h"

namespace hadal::cli {
namespace {

struct Measured {
  double tokens_per_second = 0;  // forward, backward and a step of the optimizer
  int64_t peak_bytes = 0;        // of memory, the optimizer's included
};

// One part of a step, the second time (the first makes buffers), and the optimizer's share.
Measured measure(const TrainModel& model, const train::TrainOptions& o, train::Network& network,
                 ThreadPool& pool) {
  using Clock = std::chrono::steady_clock;
  const model::ModelConfig& config = model.config;
  const train::Context context{kernels::active(), pool, o.precision};
  if (o.lora) {
    network.load(context, *model.weights);
    train::initialise_adapters(network.parameters(), 1);
  } else {
    train::initialise(network.parameters(), config, 1);
  }
  train::Optimizer optimizer(network.parameters(), config, o.optimizer);
  const int64_t rows = std::min(o.part_rows, o.data.rows);
  const train::Batch batch = train::random_batch(config, rows, o.data.length, 1);
  double part = 0;
  double step = 0;
  for (int i = 0; i < 2; ++i) {
    const Clock::time_point from = Clock::now();
    network.refresh(context);
    network.step(context, batch, o.loss, true);
    const Clock::time_point between = Clock::now();
    optimizer.step(context, optimizer.gradient_norm(context), 0.0);
    part = std::chrono::duration<double>(between - from).count();
    step = std::chrono::duration<double>(Clock::now() - between).count();
  }
  const double parts = static_cast<double>(o.data.rows) / static_cast<double>(rows);
  const auto tokens = static_cast<double>(o.data.rows * o.data.length);
  return {tokens / (parts * part + step), eval::process_memory().peak_resident};
}

}  // namespace

void print_plan(TrainSettings settings, const Globals& globals) {
  const TrainModel model = open_train_model(settings);
  const train::TrainOptions& o = settings.train;
  ThreadPool pool(globals.threads);
  train::Network network(model.config, o.lora);
  network.set_recompute(o.recompute);
  const model::ParameterCount count = model::count_parameters(model.config);
  const double flops =
      train::flops_per_token(model.config, o.data.length, static_cast<bool>(o.lora));
  const train::MemoryPlan memory = train::plan_memory(network.parameters(), o);
  const Measured measured = measure(model, o, network, pool);
  const eval::MachineLimits limits = eval::measure_machine(pool, int64_t{64} << 20);
  const bool f32 = o.precision == model::Precision::f32;
  const double peak = std::max(limits.best(kernels::Product::fp32),
                               f32 ? 0.0 : limits.best(kernels::Product::bf16));
  const auto step_tokens = static_cast<double>(o.data.rows * o.data.length);
  const double rate = measured.tokens_per_second;
  const double tokens =
      o.budget_s > 0 ? rate * o.budget_s : static_cast<double>(o.steps) * step_tokens;
  const double seconds = tokens / rate;
  const double cost = settings.price_per_hour * seconds / 3600;
  if (globals.json) {
    const nlohmann::json out = {{"parameters", network.parameters().size()},
                                {"parameters_total", count.total},
                                {"parameters_active", count.active},
                                {"parameters_trained", memory.trained},
                                {"flops_per_token", flops},
                                {"state_bytes", memory.state()},
                                {"peak_bytes", measured.peak_bytes},
                                {"tokens_per_second", rate},
                                {"machine_flops", peak},
                                {"peak_share", rate * flops / peak},
                                {"tokens", tokens},
                                {"steps", tokens / step_tokens},
                                {"seconds", seconds},
                                {"cost", cost}};
    fmt::print("{}\n", out.dump(2));
    return;
  }
  const auto bytes = [](int64_t n) { return format_bytes(static_cast<double>(n)); };
  fmt::print("parameters      {} in all, {} active (MTP layers not counted)\n",
             format_count(static_cast<double>(count.total)),
             format_count(static_cast<double>(count.active)));
  if (o.lora)
    fmt::print("learning        {} in adapters of rank {}; the model stays and is read in place\n",
               format_count(static_cast<double>(memory.trained)), o.lora.rank);
  fmt::print("arithmetic      {:.1f} MFLOP a token, forward and backward\n", 1e-6 * flops);
  fmt::print(
      "memory          {} measured; of it weights {}, gradients {}, optimizer {}, operands "
      "{}\n",
      bytes(measured.peak_bytes), bytes(memory.values), bytes(memory.gradients),
      bytes(memory.optimizer), bytes(memory.operands));
  fmt::print("speed           {:.0f} tokens/s measured here, {:.0f}% of {:.2f} TFLOP/s\n", rate,
             100 * rate * flops / peak, 1e-12 * peak);
  fmt::print("run             {:.0f} steps of {:.0f} tokens, {} in all, {:.1f} a parameter\n",
             tokens / step_tokens, step_tokens, format_count(tokens),
             tokens / static_cast<double>(count.active));
  fmt::print("time            {}\n", format_duration(seconds));
  if (settings.price_per_hour > 0)
    fmt::print("cost            {:.2f} at {:.2f} an hour\n", cost, settings.price_per_hour);
}

}  // namespace hadal::cli
