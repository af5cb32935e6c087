variable "application_name" {
  description = "The application whose executions these are: named in notifications, a tag of every resource."
  type        = string
  nullable    = false

  validation {
    # What AWS takes as the value of a tag.
    condition     = can(regex("^[\\p{L}\\p{N}_.:/=+@-]([\\p{L}\\p{Z}\\p{N}_.:/=+@-]{0,254}[\\p{L}\\p{N}_.:/=+@-])?$", var.application_name))
    error_message = "The application_name must have 1 to 256 letters, digits, spaces or any of _.:/=+@-, and no space at either end: it is the value of a tag."
  }
}

variable "env" {
  description = "The environment: named in notifications, a tag of every resource."
  type        = string
  default     = "dev"
  nullable    = false

  validation {
    # What AWS takes as the value of a tag.
    condition     = can(regex("^[\\p{L}\\p{N}_.:/=+@-]([\\p{L}\\p{Z}\\p{N}_.:/=+@-]{0,254}[\\p{L}\\p{N}_.:/=+@-])?$", var.env))
    error_message = "The env must have 1 to 256 letters, digits, spaces or any of _.:/=+@-, and no space at either end: it is the value of a tag."
  }
}

variable "event_rule_name" {
  description = "Name of the EventBridge rule; everything else is named after it (queues cannot have a dot, and get a hyphen for each)."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,64}$", var.event_rule_name))
    error_message = "The event_rule_name must have 1 to 64 letters, digits, dots, hyphens or underscores."
  }
}

variable "external_group_email" {
  description = "CustomerAssist's group address."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+$", var.external_group_email))
    error_message = "The external_group_email must be an address like assist@example.com."
  }
}

variable "internal_group_email" {
  description = "The developers' group address."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+$", var.internal_group_email))
    error_message = "The internal_group_email must be an address like dev-team@example.com."
  }
}

variable "notification_api" {
  description = "URL of the notification API."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https?://[^/\\s]+\\S*$", var.notification_api))
    error_message = "The notification_api must be a URL that begins with https:// or http://."
  }
}

variable "step_function_arns" {
  description = "The state machines to watch, without version or alias; all of this account and region if empty. About 20 fit into a rule's pattern: docs/deploy.md."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.step_function_arns :
      can(regex("^arn:[^:]+:states:[^:]+:[0-9]{12}:stateMachine:[^:/,]+$", arn))
    ])
    error_message = "Each of step_function_arns must be the ARN of a state machine, without version or alias: arn:aws:states:REGION:ACCOUNT:stateMachine:NAME."
  }
}

variable "child_state_machine_arns" {
  description = "State machines that the watched ones start and wait for: their executions are read to find the root cause. Those of this account and region are readable anyway where all are watched; those of other accounts cannot be read."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.child_state_machine_arns :
      can(regex("^arn:[^:]+:states:[^:]+:[0-9]{12}:stateMachine:[^:/,]+$", arn))
    ])
    error_message = "Each of child_state_machine_arns must be the ARN of a state machine, without version or alias: arn:aws:states:REGION:ACCOUNT:stateMachine:NAME."
  }
}

variable "map_run_children" {
  description = "What the worker does with the children of a Distributed Map's Map run: fold leaves them out of the queue, since their parent's report covers them; notify has each handled like any other."
  type        = string
  default     = "fold"
  nullable    = false

  validation {
    condition     = contains(["fold", "notify"], var.map_run_children)
    error_message = "The map_run_children must be fold or notify."
  }
}

variable "state_machine_key_arns" {
  description = "Customer managed keys that state machines are encrypted with. Without them failures of these are reported from the event alone, which holds no input, error or cause then."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.state_machine_key_arns : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/[^,]+$", arn))
    ])
    error_message = "Each of state_machine_key_arns must be a key's ARN, not an alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "visibility_timeout_seconds" {
  description = "How long a message stays hidden from other workers once one has it."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.visibility_timeout_seconds >= 1 && var.visibility_timeout_seconds <= 43200
    error_message = "The visibility_timeout_seconds must be 1 to 43200 (twelve hours, SQS's longest)."
  }
}

variable "max_receive_count" {
  description = "How often a message may be received before it goes to the dead-letter queue."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000
    error_message = "The max_receive_count must be 1 to 1000."
  }
}

variable "message_retention_seconds" {
  description = "How long a message may wait in the queue. Shorter than the 14 days of the dead-letter queue, which counts from when the message first arrived."
  type        = number
  default     = 345600
  nullable    = false

  validation {
    condition     = var.message_retention_seconds >= 60 && var.message_retention_seconds <= 1123200
    error_message = "The message_retention_seconds must be 60 to 1123200 (13 days): the dead-letter queue's 14 days count from when the message first arrived."
  }
}

variable "kms_key_arn" {
  description = "A customer managed key for the queues; SQS's own encryption if null. Its key policy has to let events.amazonaws.com use kms:GenerateDataKey and kms:Decrypt."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The kms_key_arn must be a key's ARN, not an alias: arn:aws:kms:REGION:ACCOUNT:key/ID. IAM policies know keys by their ARNs only."
  }
}

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms go to, and that learns when they are over; they are only shown in CloudWatch if null. One that is encrypted with alias/aws/sns takes nothing from CloudWatch."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_topic_arn == null || can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:[^:]+$", var.alarm_topic_arn))
    error_message = "The alarm_topic_arn must be the ARN of an SNS topic: arn:aws:sns:REGION:ACCOUNT:NAME."
  }
}

variable "oldest_message_alarm_seconds" {
  description = "How old the oldest message may get before the alarm goes off."
  type        = number
  default     = 900
  nullable    = false

  validation {
    condition     = var.oldest_message_alarm_seconds >= 60
    error_message = "The oldest_message_alarm_seconds must be 60 or more: CloudWatch gets the age once a minute."
  }
}

variable "log_group_arns" {
  description = "Log groups whose last lines routes with logs = true show, as ARNs that end in :*."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.log_group_arns : can(regex("^arn:[^:]+:logs:[^:]+:[0-9]{12}:log-group:[^:,]+:[*]$", arn))
    ])
    error_message = "Each of log_group_arns must be the ARN of a log group that ends in :*, as arn:aws:logs:REGION:ACCOUNT:log-group:/aws/lambda/*:*."
  }
}

variable "notification_topic_arns" {
  description = "SNS topics that the worker may publish to."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.notification_topic_arns : can(regex("^arn:[^:]+:sns:[^:]+:[0-9]{12}:[^:,]+$", arn))
    ])
    error_message = "Each of notification_topic_arns must be the ARN of an SNS topic: arn:aws:sns:REGION:ACCOUNT:NAME."
  }
}

variable "notification_key_arns" {
  description = "Customer managed keys that those topics are encrypted with. Each key's policy has to leave it to IAM, or name the worker's role."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.notification_key_arns : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/[^,]+$", arn))
    ])
    error_message = "Each of notification_key_arns must be a key's ARN, not an alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "notification_identity_arns" {
  description = "SES identities that the worker may send mail as."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.notification_identity_arns :
      can(regex("^arn:[^:]+:ses:[^:]+:[0-9]{12}:identity/[^,]+$", arn))
    ])
    error_message = "Each of notification_identity_arns must be the ARN of an SES identity: arn:aws:ses:REGION:ACCOUNT:identity/NAME."
  }
}

variable "incident_table" {
  description = "Name of a DynamoDB table to make for incidents; none is made, and no incidents are kept, if null."
  type        = string
  default     = null

  validation {
    condition     = var.incident_table == null || can(regex("^[A-Za-z0-9_.-]{3,255}$", var.incident_table))
    error_message = "The incident_table must have 3 to 255 letters, digits, dots, hyphens or underscores."
  }
}

variable "iam_path" {
  description = "Path of the policies, for accounts that ask for one."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([!-~]+/)?$", var.iam_path)) && length(var.iam_path) <= 512
    error_message = "The iam_path must begin and end with a slash: /, or /teams/payments/."
  }
}

variable "tags" {
  description = "More tags of every resource. The tags application and env are always there."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for key, value in var.tags :
      can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{1,128}$", key)) &&
      can(regex("^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{0,256}$", value)) &&
      !startswith(lower(key), "aws:")
    ])
    error_message = "Keys and values of tags must be letters, digits, spaces or any of _.:/=+@-; keys have 1 to 128 of them and do not begin with aws:, values have at most 256."
  }
}
